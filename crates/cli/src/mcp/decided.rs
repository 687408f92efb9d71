//! What comes of asking a person: the agent's answer, and what programs of `exec` get by it.

use std::sync::Arc;

use fnox_gateway::approval::Decided;
use fnox_gateway::placeholder::Shape;

use super::access::Asking;
use super::credentials::Listed;
use super::server::{Parts, aside, told};
use crate::commands::get;
use crate::gateway::granting::{Grant, moment};

impl Parts {
    /// Asks the person, and answers in words for the agent.
    ///
    /// # Errors
    /// In words too: nobody could be asked, or what was allowed cannot be given.
    pub(super) async fn decide(&self, asking: Asking) -> Result<String, String> {
        let granting = &asking.granting;
        if let Some(grant) = granting.covering(&asking.wish) {
            return Ok(self.allowed(&grant, "Allowed already"));
        }
        let lines = &asking.lines;
        match granting.ask(&asking.wish).await? {
            Decided::Denied => Ok(format!(
                "A person refused this. Nothing has changed, and the same is not asked again for ten minutes. If they \
                 change their mind, they add this for good:\n\n{lines}"
            )),
            Decided::NobodyYet { id } => Ok(format!(
                "Nobody has answered yet; nothing has changed. Ask a person to {}, and ask again with the same words \
                 within ten minutes. To allow it for good they add this:\n\n{lines}",
                granting.how(&id)
            )),
            Decided::Allowed { until } => {
                let until = until.ok_or("it was allowed without an end, which cannot be")?;
                let Asking {
                    granting,
                    wish,
                    secret,
                    shape,
                    ..
                } = asking;
                let value = match secret {
                    Some(secret) if !granting.has_value(&wish.credential) => {
                        Some(self.value(secret.to_string()).await?)
                    }
                    _ => None,
                };
                let shape = value.as_ref().map_or(shape, Shape::of);
                let grant = granting.give(wish, (value, shape), until).await?;
                Ok(self.allowed(&grant, "A person allowed it"))
            }
        }
    }

    /// A secret's value, which nobody sees from now on.
    async fn value(&self, name: String) -> Result<fnox_core::SecretString, String> {
        let (app, config) = (self.app.clone(), Arc::clone(&self.config));
        let wanted = name.clone();
        let value =
            aside(move || get::resolve(&app, &config, &wanted).map_err(|error| told(&error)))
                .await?;
        let value = value.ok_or_else(|| format!("`{name}` has no value"))?;
        self.redaction.add(vec![value.clone()]);
        Ok(value)
    }

    /// What the agent can do now.
    fn allowed(&self, grant: &Grant, how: &str) -> String {
        let rule = &grant.rule;
        let what = match self.variable_of(grant) {
            Some(variable) => format!("`${variable}`, which holds a placeholder"),
            None => format!("the placeholder {}", grant.placeholder),
        };
        format!(
            "{how}, until {} at the latest: programs of `exec` send {what}, in {} of requests to {} with the methods {}. \
             Programs that run already do not have the variable.",
            moment(grant.until),
            rule.injection.describe(),
            rule.hosts,
            rule.allowed(),
        )
    }

    /// The variable, unless programs have something else in it.
    fn variable_of(&self, grant: &Grant) -> Option<String> {
        let has_room = match self.launcher.variable(&grant.variable) {
            None => true,
            Some(value) => value == grant.placeholder.as_str(),
        };
        has_room.then(|| grant.variable.clone())
    }

    /// What the agent can use now, for good and for a while.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let mut listed = self.listed.to_vec();
        for grant in self.grants() {
            let variable = self.variable_of(&grant);
            listed.push(Listed::granted(&grant, variable));
        }
        listed
    }

    /// The placeholders of what is allowed for a while, by their variables.
    pub(super) fn given(&self) -> Vec<(String, String)> {
        let grants = self.grants().into_iter();
        grants
            .filter_map(|grant| {
                let variable = self.variable_of(&grant)?;
                Some((variable, grant.placeholder))
            })
            .collect()
    }

    fn grants(&self) -> Vec<Grant> {
        let granting = self.desk.granting.as_ref();
        granting.map(|it| it.grants()).unwrap_or_default()
    }
}
