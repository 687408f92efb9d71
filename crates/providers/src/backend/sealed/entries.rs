//! The keys of a provider, as the configuration has them.

use std::sync::Arc;

use fnox_config::Fields;

use super::{Device, IsRight};
use crate::error::ProviderError;
use crate::hardware::data_key::{DataKey, DataKeys, Place};
use crate::hardware::sealing::Unopened;
use crate::settings::Settings;

/// What a provider's values are opened by.
#[derive(Debug)]
pub(super) enum Held<D: Device> {
    /// The answer of one device.
    One(D::Question),
    Several(Several<D>),
}

/// A data key that several devices open.
#[derive(Debug)]
pub(super) struct Several<D: Device> {
    /// Its id.
    pub(super) data_key: String,
    pub(super) former: Vec<String>,
    pub(super) entries: Vec<Entry<D>>,
}

/// One of the devices.
#[derive(Debug)]
pub(super) struct Entry<D: Device> {
    pub(super) name: String,
    pub(super) question: D::Question,
    pub(super) wrapped: Arc<str>,
}

impl<D: Device> Held<D> {
    pub(super) fn read(settings: &Settings) -> Result<Self, ProviderError> {
        let fields = settings.fields();
        let tables = fields.tables("keys");
        if tables.is_empty() {
            if fields.contains("data_key") {
                return Err(ProviderError::misconfigured(
                    "`data_key` needs the `keys` that open it",
                )
                .with_remedy("restore the provider's `keys` from the file's history")
                .at_key("data_key"));
            }
            return D::question(&|key| settings.text(key)).map(Self::One);
        }
        if let Some(key) = D::QUESTION.iter().copied().find(|key| fields.contains(key)) {
            return Err(ProviderError::misconfigured(format!(
                "`{key}` is one key's, and the provider has `keys`"
            ))
            .with_remedy("a key's own settings stand in its table of `keys`")
            .at_key(key));
        }
        let data_key = fields.text("data_key").ok_or_else(|| {
            ProviderError::misconfigured("`keys` need the `data_key` that they open")
                .with_remedy(
                    "`fnox provider keys add NAME` writes both; restore it from the file's history",
                )
                .at_key("keys")
        })?;
        let entries = tables.iter().map(Entry::read).collect::<Result<_, _>>()?;
        Ok(Self::Several(Several {
            data_key: data_key.to_owned(),
            former: fields.list("former_keys").to_vec(),
            entries,
        }))
    }

    pub(super) fn questions(&self) -> Vec<D::Question> {
        match self {
            Self::One(question) => vec![question.clone()],
            Self::Several(several) => several.questions(),
        }
    }

    /// `None`: there is one device, whose answer cannot be told from another's.
    pub(super) fn is_right(&self, place: &Place) -> Option<IsRight> {
        match self {
            Self::One(_) => None,
            Self::Several(several) => Some(several.is_right(place)),
        }
    }

    pub(super) fn none_opens(&self) -> ProviderError {
        let names = match self {
            Self::One(_) => String::new(),
            Self::Several(several) => {
                let names: Vec<&str> = several.entries.iter().map(|it| it.name.as_str()).collect();
                format!(" ({})", names.join(", "))
            }
        };
        ProviderError::authentication(format!(
            "no key that is plugged in opens the provider's data key{names}"
        ))
        .with_remedy(
            "plug in one of its keys; if that is one, then the provider's name, `data_key` or the key's table was changed, \
            or the key got a PIN after it was added: restore them from the file's history",
        )
    }
}

impl<D: Device> Several<D> {
    pub(super) fn questions(&self) -> Vec<D::Question> {
        self.entries.iter().map(|it| it.question.clone()).collect()
    }

    /// Right is what opens the data key.
    pub(super) fn is_right(&self, place: &Place) -> IsRight {
        let wrapped: Vec<Arc<str>> = self.entries.iter().map(|it| it.wrapped.clone()).collect();
        let (place, id) = (place.clone(), self.data_key.clone());
        Arc::new(move |index, answer| {
            let wrapped = wrapped.get(index);
            wrapped.is_some_and(|it| DataKey::unwrap(it, answer, &place, &id).is_ok())
        })
    }

    pub(super) fn unwrap(
        &self,
        index: usize,
        answer: &[u8],
        place: &Place,
    ) -> Result<DataKey, Unopened> {
        let entry = self.entries.get(index).ok_or(Unopened::WrongKey)?;
        DataKey::unwrap(&entry.wrapped, answer, place, &self.data_key)
    }

    pub(super) fn with_former(
        &self,
        key: DataKey,
        place: &Place,
    ) -> Result<DataKeys, ProviderError> {
        DataKeys::read(key, &self.former, place).map_err(|_| {
            ProviderError::misconfigured("`former_keys` do not belong to the provider's data key")
                .with_remedy("restore them from the file's history")
                .at_key("former_keys")
        })
    }
}

impl<D: Device> Entry<D> {
    fn read(fields: &Fields) -> Result<Self, ProviderError> {
        let text = |key| fields.text(key).filter(|text| !text.is_empty());
        let name = text("name").unwrap_or_default().to_owned();
        let wrapped = text("wrapped").unwrap_or_default();
        let question = D::question(&text).map_err(|mut error| {
            error.message = format!("key `{}`: {}", name.escape_debug(), error.message);
            error.key = Some("keys");
            error
        })?;
        Ok(Self {
            name,
            question,
            wrapped: wrapped.into(),
        })
    }
}
