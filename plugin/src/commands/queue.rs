//! `queue`: shows the queue of each model.

use super::show::QueueArgs;
use crate::connect::connect;
use crate::exit::Exit;
use crate::facts::{ModelQueue, Visible, queues};
use crate::failure::Failure;
use crate::objects::Object;
use crate::report::{ModelReport, QueueReport, Report, ResourceReport};
use crate::screens;
use crate::session::Session;

pub(super) async fn run(args: &QueueArgs, session: &mut Session) -> Result<Exit, Failure> {
    let connection = connect(&args.common.connection)?;
    // A model is shared by all namespaces.
    let (listed, all_namespaces) = connection.list_widely().await?;
    session.note_undecodable(&listed.undecodable);
    let is_own = |object: &&Object| object.namespace() == connection.namespace;
    let mut queues = queues(Visible { objects: &listed.objects, is_complete: all_namespaces && listed.undecodable.is_empty() });
    queues.retain(|queue| {
        let named = args.model.as_ref().is_none_or(|model| queue.model.to_lowercase().contains(&model.to_lowercase()));
        let in_scope = args.all_namespaces || args.model.is_some() || queue.running.iter().chain(&queue.waiting).any(is_own);
        named && in_scope
    });
    let view = session.view();
    if !session.is_text() {
        session.report(&report(&queues, all_namespaces, &view))?;
        return Ok(Exit::Success);
    }
    if queues.is_empty() {
        session.note("nothing runs and nothing waits for its turn");
    } else {
        let foreign = queues.iter().flat_map(|queue| queue.running.iter().chain(&queue.waiting)).any(|object| !is_own(object));
        session.print(&screens::queue(&queues, args.all_namespaces || foreign, &view));
    }
    if !all_namespaces {
        session.note(&format!("you may list namespace {} only: resources in other namespaces are not visible", connection.namespace));
    }
    Ok(Exit::Success)
}

fn report(queues: &[ModelQueue<'_>], all_namespaces: bool, view: &crate::output::View) -> Report {
    let resources = |objects: &[&Object]| objects.iter().map(|object| ResourceReport::new(object, queues, view.now)).collect();
    let models = queues.iter().map(|queue| ModelReport {
        model: queue.model.clone(),
        running: resources(&queue.running),
        waiting: resources(&queue.waiting),
    });
    Report::Queue(QueueReport { all_namespaces, models: models.collect() })
}
