//! One field of a cron schedule, which YAML may hold as a number.

use std::{fmt, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// `minute: 30`, `minute: "*/5"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field(String);

impl Deref for Field {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl Visitor<'_> for Any {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a field of crontab(5)")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Field, E> {
                Ok(Field(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Field, E> {
                Ok(Field(number.to_string()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Field, E> {
                if text.is_empty() || text.contains(char::is_whitespace) {
                    return Err(E::custom(format!("'{text}' is not one field of crontab(5)")));
                }
                Ok(Field(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl schemars::JsonSchema for Field {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Field".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "description": "One field of crontab(5).",
            "pattern": "^\\S+$",
            "minimum": 0,
            "examples": [30, "*/5", "mon-fri"],
        })
    }
}
