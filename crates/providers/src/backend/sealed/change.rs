//! Adding keys, and replacing the data key.

use std::sync::Arc;

use async_trait::async_trait;

use super::entries::{Entry, Held, Several};
use super::{Answer, Device, IsRight, Keys, SealedBy, new_data_key, no_randomness};
use crate::error::ProviderError;
use crate::hardware::data_key::{DataKey, DataKeys, Place};
use crate::hardware::keys::{AddedKeys, HardwareKeys, KeyTable, NewKey, RotatedKeys};

/// How often a person is asked for a key before the change is given up.
const ASKED: usize = 3;

#[async_trait]
impl<D: Device> HardwareKeys for SealedBy<D> {
    async fn add(&self, new: &NewKey) -> Result<AddedKeys, ProviderError> {
        let unlocked = self.unlocked().await?;
        let slot = new.slot.as_deref();
        let questions = self.held.questions();
        let (question, answer) = self
            .device
            .ask_another(&questions, slot, self.is_known(&unlocked.answer))
            .await?;
        let (key, place) = (&unlocked.keys, &self.place);
        match (&self.held, key) {
            (Held::Several(several), Keys::Data(keys)) => Ok(AddedKeys {
                data_key: several.data_key.clone(),
                former_keys: several.former.clone(),
                tables: vec![table::<D>(
                    &new.name,
                    &question,
                    keys.current(),
                    &answer,
                    place,
                )?],
                moved: &[],
            }),
            (held, _) => {
                let own = self.own(&unlocked.answer)?;
                let keys = DataKeys::first(new_data_key()?, own);
                let key = keys.current();
                let mut tables = Vec::new();
                if let Held::One(first) = held {
                    let answer = &unlocked.answer;
                    tables.push(table::<D>(&new.first, first, key, answer, place)?);
                }
                tables.push(table::<D>(&new.name, &question, key, &answer, place)?);
                Ok(AddedKeys {
                    data_key: key.id().to_owned(),
                    former_keys: keys.former_texts(place).ok_or_else(no_randomness)?,
                    tables,
                    moved: D::QUESTION,
                })
            }
        }
    }

    async fn rotate(&self, without: Option<usize>) -> Result<RotatedKeys, ProviderError> {
        let Held::Several(several) = &self.held else {
            return Err(ProviderError::misconfigured(
                "the provider has one key, and that has no data key",
            )
            .with_remedy("`fnox provider keys add NAME` makes one"));
        };
        let staying: Vec<usize> = (0..several.entries.len())
            .filter(|index| Some(*index) != without)
            .collect();
        let answers = self.answers(several, &staying).await?;
        let (first, answer) = answers
            .first()
            .ok_or_else(|| ProviderError::misconfigured("no key would stay"))?;
        let old = several
            .unwrap(*first, answer, &self.place)
            .map_err(|_| self.held.none_opens())?;
        let keys = several.with_former(old, &self.place)?.rotated();
        let keys = keys.ok_or_else(no_randomness)?;
        let wrapped = answers.iter().map(|(index, answer)| {
            let wrapped = keys.current().wrap(answer, &self.place);
            Some((*index, wrapped?))
        });
        let wrapped: Option<Vec<_>> = wrapped.collect();
        Ok(RotatedKeys {
            data_key: keys.current().id().to_owned(),
            former_keys: keys.former_texts(&self.place).ok_or_else(no_randomness)?,
            wrapped: wrapped.ok_or_else(no_randomness)?,
        })
    }
}

impl<D: Device> SealedBy<D> {
    /// Whether an answer is one of those that the provider's devices give.
    fn is_known(&self, own: &Answer) -> IsRight {
        let (own, right) = (own.clone(), self.held.is_right(&self.place));
        let count = self.held.questions().len();
        Arc::new(move |_, answer| {
            let of_others = right.as_ref();
            answer == own.as_slice()
                || of_others.is_some_and(|right| (0..count).any(|index| right(index, answer)))
        })
    }

    /// The answers of certain keys, in their order. Each is asked once.
    async fn answers(
        &self,
        several: &Several<D>,
        wanted: &[usize],
    ) -> Result<Vec<(usize, Answer)>, ProviderError> {
        let right = several.is_right(&self.place);
        let mut answers: Vec<(usize, Answer)> = Vec::new();
        let mut asked = 0;
        loop {
            let open: Vec<usize> = wanted
                .iter()
                .copied()
                .filter(|index| answers.iter().all(|(has, _)| has != index))
                .collect();
            let entries: Vec<&Entry<D>> = open
                .iter()
                .filter_map(|index| several.entries.get(*index))
                .collect();
            let Some(next) = entries.first() else {
                answers.sort_by_key(|(index, _)| *index);
                return Ok(answers);
            };
            // A device that only a touch tells apart would be touched again.
            if !D::TELLS && !answers.is_empty() {
                self.device.wait_for(&next.name).await?;
            }
            let questions: Vec<D::Question> =
                entries.iter().map(|entry| entry.question.clone()).collect();
            let (right, numbers) = (Arc::clone(&right), open.clone());
            let right: IsRight = Arc::new(move |index, answer| {
                numbers
                    .get(index)
                    .is_some_and(|index| right(*index, answer))
            });
            match self.device.ask(&questions, Some(right)).await {
                Ok(Some((index, answer))) => {
                    answers.extend(open.get(index).map(|index| (*index, answer)));
                    continue;
                }
                Err(error) if self.device.check().is_ok() || asked == ASKED => return Err(error),
                Ok(None) if asked == ASKED => return Err(self.held.none_opens()),
                Ok(None) | Err(_) => asked += 1,
            }
            if D::TELLS || answers.is_empty() {
                self.device.wait_for(&next.name).await?;
            }
        }
    }
}

fn table<D: Device>(
    name: &str,
    question: &D::Question,
    key: &DataKey,
    answer: &[u8],
    place: &Place,
) -> Result<KeyTable, ProviderError> {
    let wrapped = key.wrap(answer, place).ok_or_else(no_randomness)?;
    let mut table = vec![("name", name.to_owned())];
    table.extend(D::table(question));
    table.push(("wrapped", wrapped));
    Ok(table)
}
