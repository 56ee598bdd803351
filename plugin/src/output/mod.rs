//! Text for people: tables, times, bars, and external text in one plain line.

mod bars;
mod table;
mod text;
mod time;
mod view;

pub use bars::{bar, sparkline};
pub use table::{Cell, Column, table};
pub use text::{broken, count, listed, ordinal, shown, wrapped};
pub use time::{about, clock, day_clock, duration, rough};
pub use view::View;
