//! Configurations that start from a named preset and are then overridden key by key.

use quorate_core::Standing;

/// Named starting points of a configuration.
///
/// The table of an engine in a plan may say `preset = "name"`; every other key in it overrides the
/// preset. Without the key, the first preset holds. What is serialised is always fully resolved.
pub trait Presets: Sized {
    /// The names; the first is the default.
    const PRESETS: &'static [&'static str];

    /// The preset with this name.
    fn preset(name: &str) -> Option<Self>;

    /// Whether a system with this preset can be deployed today, where that differs from what the
    /// engine's facts say.
    fn standing(name: &str) -> Option<Standing> {
        let _ = name;
        None
    }

    /// Derives the defaults that follow from other keys; `given` says which keys were explicit.
    fn settle(&mut self, given: impl Fn(&str) -> bool) {
        let _ = given;
    }
}

/// Declares a `Config` whose every key may be left out of the table.
macro_rules! config {
    ($(#[$meta:meta])* { $($(#[$doc:meta])* $key:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "Overrides")]
        pub struct Config {
            $($(#[$doc])* pub $key: $type,)+
        }

        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields, expecting = "a table of engine settings")]
        struct Overrides {
            preset: Option<String>,
            $($key: Option<$type>,)+
        }

        impl TryFrom<Overrides> for Config {
            type Error = String;

            fn try_from(overrides: Overrides) -> Result<Self, String> {
                use $crate::config::Presets as _;
                let name = overrides.preset.as_deref().unwrap_or(Self::PRESETS[0]);
                let mut config = Self::preset(name).ok_or_else(|| {
                    format!("unknown preset `{name}`, expected one of {:?}", Self::PRESETS)
                })?;
                let given = [$((stringify!($key), overrides.$key.is_some()),)+];
                $(if let Some(value) = overrides.$key { config.$key = value; })+
                config.settle(|key| given.contains(&(key, true)));
                Ok(config)
            }
        }

        impl Default for Config {
            /// The default preset.
            fn default() -> Self {
                use $crate::config::Presets as _;
                Self::preset(Self::PRESETS[0]).expect("the first preset exists")
            }
        }
    };
}

/// A limit from a key where zero means "none".
pub(crate) const fn unless_zero(value: u64) -> u64 {
    if value == 0 { u64::MAX } else { value }
}
