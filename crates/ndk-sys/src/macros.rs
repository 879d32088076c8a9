//! The macros in which the bindings are written. They keep Microsoft's numbers next to each declaration and
//! check them at compile time; what they register is what [`crate::abi`] hands out.

/// Declares `#[repr(C)]` structs and unions with the size and the offsets that Microsoft's headers give them.
///
/// ```text
/// layouts! {
///     /// Documentation (header.h).
///     pub struct NAME: SIZE {
///         Field @ OFFSET: Type,
///     }
///     also { OtherName @ OFFSET }
///     bits storage { Flag / set_Flag @ BIT: WIDTH }
/// }
/// ```
///
/// Names are the header's; a name that ends in `_` is ours, for something that the header leaves unnamed (the
/// type of an anonymous struct or union, the integer that holds bit fields). `also` lists further names that the
/// header gives to the same storage. `bits` declares the bit fields of one integer member: BIT counts from the
/// start of the structure, as a debugger prints it. Every type is plain data: all zeros is a valid value.
macro_rules! layouts {
    ($(
        $(#[$meta:meta])*
        pub $kind:ident $name:ident : $size:literal {
            $( $field:ident @ $offset:literal : $ty:ty ),* $(,)?
        }
        $( also { $( $alias:ident @ $alias_offset:literal ),* $(,)? } )?
        $( bits $storage:ident { $( $get:ident / $set:ident @ $start:literal : $width:literal ),* $(,)? } )*
    )*) => {
        $(
            $(#[$meta])*
            #[doc = concat!("\n\nSize in bytes: ", stringify!($size), ".")]
            #[derive(Clone, Copy)]
            #[repr(C)]
            pub $kind $name {
                $(
                    #[doc = concat!("Offset ", stringify!($offset), ".")]
                    pub $field: $ty,
                )*
            }

            const _: () = {
                assert!(core::mem::size_of::<$name>() == $size, concat!(stringify!($name), ": size"));
                $(
                    assert!(
                        core::mem::offset_of!($name, $field) == $offset,
                        concat!(stringify!($name), ".", stringify!($field), ": offset")
                    );
                )*
                $($( assert!($alias_offset < $size, concat!(stringify!($alias), ": outside the type")); )*)?
                // Evaluating this proves that all zeros is a valid value of the type.
                let _ = $name::zeroed();
            };

            impl $name {
                /// A value whose bytes are all zero.
                #[must_use]
                pub const fn zeroed() -> Self {
                    // SAFETY: integers, raw pointers, `Option` of function pointers, and arrays, structs and
                    // unions of those are valid when zero; the constant above has the compiler check it.
                    unsafe { core::mem::zeroed() }
                }
            }

            $(
                impl $name {
                    $(
                        #[doc = concat!("Bits ", stringify!($start), ".. (", stringify!($width), " wide).")]
                        #[must_use]
                        pub const fn $get(&self) -> u64 {
                            const SHIFT: usize = $start - 8 * core::mem::offset_of!($name, $storage);
                            (self.$storage as u64 >> SHIFT) & (u64::MAX >> (64 - $width))
                        }

                        #[doc = concat!("Sets `", stringify!($get), "`; higher bits of `value` are cut off.")]
                        pub const fn $set(&mut self, value: u64) {
                            const SHIFT: usize = $start - 8 * core::mem::offset_of!($name, $storage);
                            const MASK: u64 = (u64::MAX >> (64 - $width)) << SHIFT;
                            self.$storage = ((self.$storage as u64 & !MASK) | ((value << SHIFT) & MASK)) as _;
                        }
                    )*
                }
            )*
        )*

        /// What this file declares, for [`crate::abi`].
        pub(crate) const LAYOUTS: &[$crate::abi::Layout] = &[
            $(
                $crate::abi::Layout {
                    name: stringify!($name),
                    size: core::mem::size_of::<$name>(),
                    members: &[
                        $( $crate::abi::Member {
                            name: stringify!($field),
                            type_name: stringify!($ty),
                            offset: core::mem::offset_of!($name, $field),
                        }, )*
                        $($( $crate::abi::Member {
                            name: stringify!($alias),
                            type_name: "",
                            offset: $alias_offset,
                        }, )*)?
                    ],
                    bits: &[
                        $($( $crate::abi::Bits { name: stringify!($get), start: $start, width: $width }, )*)*
                    ],
                },
            )*
        ];
    };
}

/// Names function pointer types: Windows' calling convention, wherever this is compiled.
///
/// `fn NAME(parameter: Type, …) -> Type;` becomes `pub type NAME = unsafe extern "…" fn(…) -> Type`. A slot or
/// parameter of such a type is written `Option<NAME>`, because C lets it be null.
macro_rules! functions {
    ($(
        $(#[$meta:meta])*
        fn $name:ident ( $( $parameter:ident : $ty:ty ),* $(,)? ) $( -> $result:ty )? ;
    )*) => {
        $(
            $(#[$meta])*
            #[cfg(windows)]
            pub type $name = unsafe extern "system" fn($( $parameter: $ty ),*) $( -> $result )?;
            $(#[$meta])*
            #[cfg(not(windows))]
            pub type $name = unsafe extern "win64" fn($( $parameter: $ty ),*) $( -> $result )?;
        )*
    };
}

/// Declares constants of one type and one documentation line, and registers them.
macro_rules! constants {
    ($(
        #[doc = $doc:literal]
        $ty:ident { $( $name:ident = $value:expr ),* $(,)? }
    )*) => {
        $( $( #[doc = $doc] pub const $name: $ty = $value; )* )*

        /// What this file declares, for [`crate::abi`].
        pub(crate) const CONSTANTS: &[$crate::abi::Constant] = &[
            $( $( $crate::abi::Constant { name: stringify!($name), value: $name as i128 }, )* )*
        ];
    };
}

/// Declares C enumerations: a type name for `i32` and a constant for each value. Values that are not in the
/// list are possible, as in C.
macro_rules! enums {
    ($(
        #[doc = $doc:literal]
        enum $name:ident { $( $value_name:ident = $value:expr ),* $(,)? }
    )*) => {
        $(
            #[doc = $doc]
            pub type $name = i32;
            $(
                #[doc = concat!("A value of [`", stringify!($name), "`].")]
                pub const $value_name: $name = $value;
            )*
        )*

        /// What this file declares, for [`crate::abi`].
        pub(crate) const ENUMS: &[$crate::abi::Enum] = &[
            $( $crate::abi::Enum {
                name: stringify!($name),
                values: &[ $( (stringify!($value_name), $value_name) ),* ],
            }, )*
        ];
    };
}

/// Declares functions that a Windows library exports: the functions, on Windows, and everywhere a type of their
/// prototype, so that whatever stands in for the library can be checked against it.
macro_rules! imports {
    (
        library $library:literal;
        $(
            $(#[doc = $doc:literal])*
            fn $name:ident = $prototype:ident ( $( $parameter:ident : $ty:ty ),* $(,)? ) $( -> $result:ty )? ;
        )*
    ) => {
        functions! {
            $(
                #[doc = concat!("Prototype of `", stringify!($name), "`.")]
                fn $prototype( $( $parameter: $ty ),* ) $( -> $result )?;
            )*
        }

        #[cfg(windows)]
        #[link(name = $library)]
        unsafe extern "system" {
            $(
                $(#[doc = $doc])*
                pub fn $name( $( $parameter: $ty ),* ) $( -> $result )?;
            )*
        }
    };
}

/// Declares further names of structs.
macro_rules! aliases {
    ($( $(#[$meta:meta])* type $alias:ident = $name:ident; )*) => {
        $( $(#[$meta])* pub type $alias = $name; )*

        /// Each further name and the name of its struct, for [`crate::abi`].
        pub(crate) const ALIASES: &[(&str, &str)] = &[ $( (stringify!($alias), stringify!($name)) ),* ];
    };
}
