//! Why the policy decides as it does.

use fnox_vault_wire::methods::Explanation;

use super::decide::{Policy, Question};

impl Policy {
    /// Which rule decides, or which comes nearest and why it does not. For administrators: it names all rules.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        self.explain_for_agent(question)
    }

    /// The same for an agent that asks about itself: nothing about rules that are not about it.
    #[must_use]
    pub fn explain_for_agent(&self, question: &Question<'_>) -> Explanation {
        let _ = question;
        Explanation {
            allowed: false,
            rule: None,
            summary: String::new(),
            terms: None,
            misses: Vec::new(),
        }
    }
}
