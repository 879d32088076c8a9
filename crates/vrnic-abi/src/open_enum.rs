//! Enumerations whose values come from the other side: an unknown value stays representable and printable.

macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ty as $wire:ty {
            $( $(#[$vmeta:meta])* $variant:ident = $value:expr, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $repr);

        impl $name {
            $( $(#[$vmeta])* pub const $variant: Self = Self($value); )+

            /// Every value that this version of the interface defines, in the order of the manual.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// Name in the manual, or `None` for a value that this version does not define.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$variant => Some(stringify!($variant)), )+
                    _ => None,
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($name), "({:#x})"), self.0),
                }
            }
        }

        impl From<$name> for $wire {
            fn from(value: $name) -> Self {
                Self::from(value.0)
            }
        }

        impl From<$wire> for $name {
            fn from(value: $wire) -> Self {
                Self(value.into())
            }
        }
    };
}
