//! What a gateway asks.

use std::time::Duration;

use reqwest::Method;
use uuid::Uuid;

use super::ClientError;
use super::calls::LONGEST_POLL;
use super::transport::ApiClient;
use crate::{CreateQuestion, Question, QuestionCreated, QuestionUsed};

impl ApiClient {
    /// Asks people about a request of an agent. The same key that is pending already is not asked twice.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask_question(
        &self,
        question: &CreateQuestion,
    ) -> Result<QuestionCreated, ClientError> {
        let call = self.call(Method::POST, &["v1", "questions"]);
        call.json(question)?.read().await
    }

    /// Where a question stands. With a wait, the answer comes when it is no longer pending, or after that time.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn question(
        &self,
        id: Uuid,
        wait: Option<Duration>,
    ) -> Result<Question, ClientError> {
        let id = id.to_string();
        let seconds = wait.map(|wait| wait.as_secs().min(LONGEST_POLL));
        let text = seconds.map(|seconds| seconds.to_string());
        self.call(Method::GET, &["v1", "questions", &id])
            .query("wait", text.as_deref())
            .waiting(Duration::from_secs(seconds.unwrap_or(0)))
            .read()
            .await
    }

    /// Uses a yes up. It works once.
    ///
    /// # Errors
    /// [`ClientError`]; a problem `approval_decided` at the second time, and if the answer was no.
    pub async fn use_question(&self, id: Uuid) -> Result<QuestionUsed, ClientError> {
        let id = id.to_string();
        let path = ["v1", "questions", &id, "use"];
        self.call(Method::POST, &path).read().await
    }

    /// Takes a question back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_question(&self, id: Uuid) -> Result<(), ClientError> {
        let id = id.to_string();
        let path = ["v1", "questions", &id];
        self.call(Method::DELETE, &path).finish().await
    }
}
