//! Calls without an answer.

/// No answer.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) reason: String,
    /// No connection came about, so the service knows nothing of the call.
    pub(crate) never_sent: bool,
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        let never_sent = error.is_connect() || error.is_builder();
        // The outermost message has the whole URL, query included.
        let error = error.without_url();
        let mut messages: Vec<String> = Vec::new();
        let mut current: Option<&dyn std::error::Error> =
            std::error::Error::source(&error).or(Some(&error));
        while let Some(error) = current {
            let message = error.to_string();
            if messages.last().is_none_or(|last| !last.contains(&message)) {
                messages.push(message);
            }
            current = error.source();
        }
        Self {
            reason: messages.join(": "),
            never_sent,
        }
    }
}
