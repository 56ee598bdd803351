//! Texts of refusals that clients can only distinguish by their text: reported in English, assumed in other languages.

use crate::world::settings::power_bi::Language;

/// A refresh is in progress.
pub fn already_executing(language: Language) -> &'static str {
    match language {
        Language::English => "Invalid dataset refresh request. Another refresh request is already executing",
        Language::German => {
            "Ungültige Anforderung zum Aktualisieren des Datasets. Eine andere Aktualisierungsanforderung wird bereits ausgeführt"
        }
        Language::Chinese => "数据集刷新请求无效。另一个刷新请求已在执行中",
    }
}

/// The daily limit of refreshes is exceeded.
pub fn exceeded_limit(language: Language) -> &'static str {
    match language {
        Language::English => "Invalid dataset refresh request. Number of refresh requests in last 24 hours exceeded limit",
        Language::German => {
            "Ungültige Anforderung zum Aktualisieren des Datasets. Die Anzahl der Aktualisierungsanforderungen in den letzten 24 Stunden hat den Grenzwert überschritten"
        }
        Language::Chinese => "数据集刷新请求无效。过去 24 小时内的刷新请求数超出限制",
    }
}

/// A refresh that has ended.
pub fn cannot_be_cancelled(language: Language) -> &'static str {
    match language {
        Language::English => "The refresh request cannot be cancelled",
        Language::German => "Die Aktualisierungsanforderung kann nicht abgebrochen werden",
        Language::Chinese => "无法取消刷新请求",
    }
}
