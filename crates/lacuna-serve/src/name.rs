//! Values chosen by name, in JSON and in the OpenAPI document.

use std::borrow::Cow;

use lacuna::anchor::{Anchor, AnchorScale};
use lacuna::mask::{MaskChannel, MaskFrom};
use lacuna::strategy::StrategyKind;
use lacuna::words::{Word, names};
use lacuna::{HintKind, Method};
use serde::{Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A value that is serialised as its name. Its schema lists all names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<T>(pub T);

/// A method, by name. The aliases exist because utoipa cannot resolve generic types.
pub type MethodName = Name<Method>;
/// A strategy, by name.
pub type StrategyName = Name<StrategyKind>;
/// A mask channel, by name.
pub type MaskChannelName = Name<MaskChannel>;
/// A source of masks, by name.
pub type MaskFromName = Name<MaskFrom>;
/// A kind of hint, by name.
pub type HintName = Name<HintKind>;
/// An anchor, by name.
pub type AnchorName = Name<Anchor>;
/// A scale of masks at an anchor, by name.
pub type AnchorScaleName = Name<AnchorScale>;

impl<T: Word> Serialize for Name<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<T: Word> PartialSchema for Name<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(names::<T>()))
            .into()
    }
}

impl<T: Word> ToSchema for Name<T> {
    fn name() -> Cow<'static, str> {
        let words = T::KIND.split(' ').map(|word| word[..1].to_uppercase() + &word[1..]);
        words.collect::<String>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_schema_have_the_names() {
        assert_eq!(serde_json::to_value(Name(Method::GUIDED)).unwrap(), "guided");
        let schema = serde_json::to_value(Name::<Method>::schema()).unwrap();
        assert_eq!(schema["enum"], serde_json::json!(["guided", "patchmatch", "network", "flow"]));
        assert_eq!(<Name<MaskChannel> as ToSchema>::name(), "MaskChannel");
    }
}
