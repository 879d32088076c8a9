//! The declared layouts, constants and enumerations as data: for `./x abi` and for the tests that compare them
//! with the numbers of Microsoft's headers.

use core::fmt;

/// One struct or union.
#[derive(Debug)]
pub struct Layout {
    /// Microsoft's name; ours if it ends in `_` (the type of an anonymous member).
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Members in declaration order, then further names of the same storage.
    pub members: &'static [Member],
    /// Bit fields.
    pub bits: &'static [Bits],
}

/// One member of a [`Layout`].
#[derive(Debug)]
pub struct Member {
    /// Microsoft's name; ours if it ends in `_` (Microsoft gives it none).
    pub name: &'static str,
    /// Its Rust type as written; empty for a further name of another member's storage.
    pub type_name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
}

/// One bit field of a [`Layout`].
#[derive(Debug)]
pub struct Bits {
    /// Microsoft's name.
    pub name: &'static str,
    /// First bit, counted from the start of the structure.
    pub start: usize,
    /// Width in bits.
    pub width: usize,
}

/// One `#define`d number.
#[derive(Debug)]
pub struct Constant {
    /// Microsoft's name.
    pub name: &'static str,
    /// Its value, negative if its type is signed and its top bit set.
    pub value: i128,
}

/// One C enumeration.
#[derive(Debug)]
pub struct Enum {
    /// Microsoft's name.
    pub name: &'static str,
    /// Names and values.
    pub values: &'static [(&'static str, i32)],
}

impl Layout {
    /// Whether the type exists only because Microsoft's header has an anonymous struct or union there.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        is_ours(self.name)
    }

    /// Calls `visit` with the name and offset of every member that has a name of Microsoft's. The members of
    /// anonymous structs and unions appear in the place of the member that holds them.
    pub fn for_each_member(&self, visit: &mut dyn FnMut(&'static str, usize)) {
        self.walk(0, &mut |layout, base| {
            for member in layout.members {
                if !is_ours(member.name) && anonymous_type_of(member).is_none() {
                    visit(member.name, base + member.offset);
                }
            }
        });
    }

    /// Calls `visit` with the name, first bit and width of every bit field, those of anonymous members included.
    pub fn for_each_bit_field(&self, visit: &mut dyn FnMut(&'static str, usize, usize)) {
        self.walk(0, &mut |layout, base| {
            for bits in layout.bits {
                visit(bits.name, 8 * base + bits.start, bits.width);
            }
        });
    }

    /// Visits this layout, then those of its anonymous members, with their offsets.
    fn walk(&self, base: usize, visit: &mut dyn FnMut(&Layout, usize)) {
        visit(self, base);
        for member in self.members {
            if let Some(inner) = anonymous_type_of(member) {
                inner.walk(base + member.offset, visit);
            }
        }
    }
}

/// [`layouts()`] as one JSON object: `{"STRUCT": {"size": bytes, "fields": {"Field": offset, …}}, …}` with
/// Microsoft's names only, computed from the Rust types. Bit fields have no offset and are left out.
#[derive(Debug)]
pub struct Json;

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "{\n";
        for (name, layout) in named_layouts() {
            write!(
                f,
                "{separator}\"{name}\": {{\"size\": {}, \"fields\": {{",
                layout.size
            )?;
            write_members(f, layout)?;
            f.write_str("}}")?;
            separator = ",\n";
        }
        f.write_str("\n}")
    }
}

/// Writes `"Field": offset` pairs. Where nested anonymous structures use a name twice, the last one counts.
fn write_members(f: &mut fmt::Formatter<'_>, layout: &Layout) -> fmt::Result {
    let mut position = 0;
    let mut result = Ok(());
    let mut separator = "";
    layout.for_each_member(&mut |name, offset| {
        position += 1;
        if result.is_ok() && !is_repeated_after(layout, position, name) {
            result = write!(f, "{separator}\"{name}\": {offset}");
            separator = ", ";
        }
    });
    result
}

/// Whether `name` occurs again after the first `position` members.
fn is_repeated_after(layout: &Layout, position: usize, name: &str) -> bool {
    let mut index = 0;
    let mut found = false;
    layout.for_each_member(&mut |other, _| {
        index += 1;
        found |= index > position && other == name;
    });
    found
}

fn is_ours(name: &str) -> bool {
    name.ends_with('_')
}

fn anonymous_type_of(member: &Member) -> Option<&'static Layout> {
    if !is_ours(member.type_name) {
        return None;
    }
    layouts().find(|layout| layout.name == member.type_name)
}

/// Every struct and union of this crate.
pub fn layouts() -> impl Iterator<Item = &'static Layout> {
    LAYOUTS.iter().copied().flatten()
}

/// Every layout with a name of Microsoft's, under each of its names.
pub fn named_layouts() -> impl Iterator<Item = (&'static str, &'static Layout)> {
    let aliases = crate::types::ALIASES.iter().filter_map(|(alias, name)| {
        layouts()
            .find(|layout| layout.name == *name)
            .map(|layout| (*alias, layout))
    });
    layouts()
        .filter(|layout| !layout.is_anonymous())
        .map(|layout| (layout.name, layout))
        .chain(aliases)
}

/// Every constant of this crate.
pub fn constants() -> impl Iterator<Item = &'static Constant> {
    CONSTANTS.iter().copied().flatten()
}

/// Every enumeration of this crate.
pub fn enums() -> impl Iterator<Item = &'static Enum> {
    ENUMS.iter().copied().flatten()
}

// The declarations of each file.

const LAYOUTS: &[&[Layout]] = &[
    crate::ndis::assist::LAYOUTS,
    crate::ndis::attributes::LAYOUTS,
    crate::ndis::config::LAYOUTS,
    crate::ndis::dma::LAYOUTS,
    crate::ndis::driver::LAYOUTS,
    crate::ndis::interrupt::LAYOUTS,
    crate::ndis::link::LAYOUTS,
    crate::ndis::nbl::LAYOUTS,
    crate::ndis::nbl_info::LAYOUTS,
    crate::ndis::ndk::LAYOUTS,
    crate::ndis::object::LAYOUTS,
    crate::ndis::offload::LAYOUTS,
    crate::ndis::oid::LAYOUTS,
    crate::ndis::pm::LAYOUTS,
    crate::ndis::pnp::LAYOUTS,
    crate::ndis::rss::LAYOUTS,
    crate::ndis::statistics::LAYOUTS,
    crate::ndkinfo::LAYOUTS,
    crate::ndkpi::adapter::LAYOUTS,
    crate::ndkpi::common::LAYOUTS,
    crate::ndkpi::connector::LAYOUTS,
    crate::ndkpi::cq::LAYOUTS,
    crate::ndkpi::mr::LAYOUTS,
    crate::ndkpi::pd::LAYOUTS,
    crate::ndkpi::qp::LAYOUTS,
    crate::ndkpi::srq::LAYOUTS,
    crate::netio::address::LAYOUTS,
    crate::netio::interface::LAYOUTS,
    crate::netio::route::LAYOUTS,
    crate::nt::LAYOUTS,
    crate::nt_dma::LAYOUTS,
    crate::nt_resources::LAYOUTS,
    crate::sockaddr::LAYOUTS,
    crate::wsk::client::LAYOUTS,
    crate::wsk::provider::LAYOUTS,
];

const CONSTANTS: &[&[Constant]] = &[
    crate::ndis::assist::CONSTANTS,
    crate::ndis::attributes::CONSTANTS,
    crate::ndis::config::CONSTANTS,
    crate::ndis::dma::CONSTANTS,
    crate::ndis::driver::CONSTANTS,
    crate::ndis::interrupt::CONSTANTS,
    crate::ndis::link::CONSTANTS,
    crate::ndis::nbl::CONSTANTS,
    crate::ndis::nbl_info::CONSTANTS,
    crate::ndis::ndk::CONSTANTS,
    crate::ndis::object::CONSTANTS,
    crate::ndis::offload::CONSTANTS,
    crate::ndis::oid::CONSTANTS,
    crate::ndis::oids::CONSTANTS,
    crate::ndis::pm::CONSTANTS,
    crate::ndis::pnp::CONSTANTS,
    crate::ndis::rss::CONSTANTS,
    crate::ndis::statistics::CONSTANTS,
    crate::ndis::status::CONSTANTS,
    crate::ndkinfo::CONSTANTS,
    crate::ndkpi::common::CONSTANTS,
    crate::nt::CONSTANTS,
    crate::nt_dma::CONSTANTS,
    crate::nt_resources::CONSTANTS,
    crate::sockaddr::CONSTANTS,
    crate::status::CONSTANTS,
    crate::wsk::client::CONSTANTS,
];

const ENUMS: &[&[Enum]] = &[
    crate::ndis::config::ENUMS,
    crate::ndis::dma::ENUMS,
    crate::ndis::driver::ENUMS,
    crate::ndis::interrupt::ENUMS,
    crate::ndis::link::ENUMS,
    crate::ndis::nbl_info::ENUMS,
    crate::ndis::oid::ENUMS,
    crate::ndis::pm::ENUMS,
    crate::ndis::pnp::ENUMS,
    crate::ndis::rss::ENUMS,
    crate::ndis::statistics::ENUMS,
    crate::ndkinfo::ENUMS,
    crate::ndkpi::common::ENUMS,
    crate::netio::address::ENUMS,
    crate::netio::interface::ENUMS,
    crate::netio::route::ENUMS,
    crate::nt::ENUMS,
    crate::nt_resources::ENUMS,
    crate::wsk::client::ENUMS,
    crate::wsk::provider::ENUMS,
];
