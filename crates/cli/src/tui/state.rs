//! All that is on the screen.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fnox_core::SecretString;
use fnox_core::lease::LeaseState;
use jiff::Timestamp;

use super::dialog::Dialog;
use super::model::{Chosen, Effect, Failure, Lease, Project, Provider, Secret, Task};

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Secrets,
    Leases,
    Providers,
}

impl Tab {
    pub(crate) const ALL: [Self; 3] = [Self::Secrets, Self::Leases, Self::Providers];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Secrets => "Secrets",
            Self::Leases => "Leases",
            Self::Providers => "Providers",
        }
    }
}

/// How a provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    Testing,
    Works,
    Failed(Failure),
}

/// What came of fetching a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    Available,
    Absent,
    Failed(Failure),
}

/// Work that goes on.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) task: Task,
    pub(crate) since: Duration,
}

/// All that is shown, and nothing of the world.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) project: Project,
    pub(crate) chosen: Chosen,
    pub(crate) tab: Tab,
    pub(crate) selected: [usize; 3],
    /// What names or descriptions must contain.
    pub(crate) filter: String,
    pub(crate) is_searching: bool,
    pub(crate) leases: Vec<Lease>,
    pub(crate) health: BTreeMap<String, Health>,
    pub(crate) tried: BTreeMap<String, Tried>,
    pub(crate) dialog: Option<Dialog>,
    /// Dialogs that wait for the one that is open.
    pub(crate) later: VecDeque<Dialog>,
    pub(crate) jobs: Vec<Job>,
    /// What was done last.
    pub(crate) note: String,
    /// Since the start.
    pub(crate) elapsed: Duration,
    pub(crate) now: Timestamp,
    /// It ends as soon as nothing is being written.
    pub(crate) is_ending: bool,
    pub(crate) is_over: bool,
    next: u64,
}

impl State {
    pub(crate) fn new(project: Project, now: Timestamp) -> Self {
        Self {
            project,
            chosen: Chosen::AsStarted,
            tab: Tab::Secrets,
            selected: [0; 3],
            filter: String::new(),
            is_searching: false,
            leases: Vec::new(),
            health: BTreeMap::new(),
            tried: BTreeMap::new(),
            dialog: None,
            later: VecDeque::new(),
            jobs: Vec::new(),
            note: String::new(),
            elapsed: Duration::ZERO,
            now,
            is_ending: false,
            is_over: false,
            next: 0,
        }
    }

    fn shows(&self, texts: &[&str]) -> bool {
        let filter = self.filter.to_lowercase();
        texts
            .iter()
            .any(|text| text.to_lowercase().contains(&filter))
    }

    /// The secrets that the search leaves.
    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        let secrets = self.project.secrets.iter();
        secrets
            .filter(|secret| self.shows(&[&secret.name, &secret.description, &secret.provider]))
            .collect()
    }

    /// The providers that the search leaves.
    pub(crate) fn providers(&self) -> Vec<&Provider> {
        let providers = self.project.providers.iter();
        providers
            .filter(|provider| self.shows(&[&provider.name, &provider.kind]))
            .collect()
    }

    /// The leases that the search leaves: those that are active first, then the newest.
    pub(crate) fn leases(&self) -> Vec<&Lease> {
        let mut leases: Vec<&Lease> = self
            .leases
            .iter()
            .rev()
            .filter(|lease| self.shows(&[&lease.name, &lease.id, &lease.label]))
            .collect();
        leases.sort_by_key(|lease| lease.state_at(self.now) != LeaseState::Active);
        leases
    }

    /// How many rows a list has.
    pub(crate) fn count(&self, tab: Tab) -> usize {
        match tab {
            Tab::Secrets => self.secrets().len(),
            Tab::Leases => self.leases().len(),
            Tab::Providers => self.providers().len(),
        }
    }

    /// The selected row of a list.
    pub(crate) fn row(&self, tab: Tab) -> usize {
        self.selected[tab as usize].min(self.count(tab).saturating_sub(1))
    }

    pub(crate) fn select(&mut self, row: usize) {
        self.selected[self.tab as usize] = row.min(self.count(self.tab).saturating_sub(1));
    }

    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.secrets().get(self.row(Tab::Secrets)).copied()
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.leases().get(self.row(Tab::Leases)).copied()
    }

    pub(crate) fn provider(&self) -> Option<&Provider> {
        self.providers().get(self.row(Tab::Providers)).copied()
    }

    /// Notes work and says that it is to be done.
    pub(crate) fn start(&mut self, task: Task, value: Option<SecretString>) -> Effect {
        let id = self.next;
        self.next += 1;
        let chosen = match &task {
            Task::Project(chosen) => chosen.clone(),
            _ => self.chosen.clone(),
        };
        self.jobs.push(Job {
            id,
            task: task.clone(),
            since: self.elapsed,
        });
        Effect::Start {
            id,
            chosen,
            task,
            value,
        }
    }

    /// Opens a dialog, after the one that is open.
    pub(crate) fn tell(&mut self, dialog: Dialog) {
        if self.dialog.is_none() {
            self.dialog = Some(dialog);
        } else {
            self.later.push_back(dialog);
        }
    }

    /// Closes the dialog and opens the next one.
    pub(crate) fn close(&mut self) -> Option<Dialog> {
        let closed = self.dialog.take();
        self.dialog = self.later.pop_front();
        closed
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.jobs.iter().any(|job| job.task.writes())
    }

    /// Ends, now or when what is being written is written.
    pub(crate) fn end(&mut self) {
        // Who asks twice does not want to wait.
        self.is_over = self.is_ending || !self.is_writing();
        self.is_ending = true;
    }
}
