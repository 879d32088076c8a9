//! The OIDs that the adapter answers.

use ndk_sys::NDIS_OID;

/// An OID.
#[derive(Clone, Copy, Debug)]
pub struct Oid {
    /// Its number.
    pub number: NDIS_OID,
    /// Its name.
    pub name: &'static str,
    /// It can be queried.
    pub query: bool,
    /// It can be set.
    pub set: bool,
    /// Microsoft's list of mandatory OIDs for miniports has it.
    pub mandatory: bool,
}

macro_rules! oids {
    ($( $name:ident: $($word:ident)* ; )*) => {
        /// All of them.
        pub const OIDS: &[Oid] = &[
            $( {
                let mut oid = Oid {
                    number: ndk_sys::$name,
                    name: stringify!($name),
                    query: false,
                    set: false,
                    mandatory: false,
                };
                $( oid.$word = true; )*
                oid
            }, )*
        ];
    };
}

oids! {
    OID_GEN_CURRENT_LOOKAHEAD: query set mandatory;
    OID_GEN_CURRENT_PACKET_FILTER: query set mandatory;
    OID_GEN_INTERRUPT_MODERATION: query set mandatory;
    OID_GEN_LINK_PARAMETERS: set mandatory;
    OID_GEN_MAXIMUM_TOTAL_SIZE: query mandatory;
    OID_GEN_RCV_OK: query mandatory;
    OID_GEN_RECEIVE_BLOCK_SIZE: query mandatory;
    OID_GEN_RECEIVE_BUFFER_SPACE: query mandatory;
    OID_GEN_STATISTICS: query mandatory;
    OID_GEN_TRANSMIT_BLOCK_SIZE: query mandatory;
    OID_GEN_TRANSMIT_BUFFER_SPACE: query mandatory;
    OID_GEN_VENDOR_DESCRIPTION: query mandatory;
    OID_GEN_VENDOR_DRIVER_VERSION: query mandatory;
    OID_GEN_VENDOR_ID: query mandatory;
    OID_GEN_XMIT_OK: query mandatory;
    OID_GEN_RCV_ERROR: query;
    OID_GEN_RCV_NO_BUFFER: query;
    OID_GEN_XMIT_ERROR: query;
    OID_GEN_TRANSMIT_QUEUE_LENGTH: query;
    OID_GEN_VLAN_ID: query set;
    OID_802_3_CURRENT_ADDRESS: query;
    OID_802_3_MAXIMUM_LIST_SIZE: query;
    OID_802_3_MULTICAST_LIST: query set;
    OID_802_3_PERMANENT_ADDRESS: query;
    OID_802_3_RCV_ERROR_ALIGNMENT: query;
    OID_802_3_XMIT_MORE_COLLISIONS: query;
    OID_802_3_XMIT_ONE_COLLISION: query;
    OID_TCP_OFFLOAD_CURRENT_CONFIG: query;
    OID_TCP_OFFLOAD_PARAMETERS: set;
    OID_OFFLOAD_ENCAPSULATION: query set;
    OID_PM_PARAMETERS: query set;
    OID_PNP_QUERY_POWER: query;
    OID_PNP_SET_POWER: set;
    OID_NDK_SET_STATE: set;
    OID_NDK_STATISTICS: query;
    OID_NDK_CONNECTIONS: query;
    OID_NDK_LOCAL_ENDPOINTS: query;
    OID_GEN_RECEIVE_SCALE_PARAMETERS: set;
}

/// Their numbers.
static NUMBERS: [NDIS_OID; OIDS.len()] = {
    let mut numbers = [0; OIDS.len()];
    let mut index = 0;
    while index < numbers.len() {
        numbers[index] = OIDS[index].number;
        index += 1;
    }
    numbers
};

/// Those that NDIS is told of. The last one is for receive side scaling.
#[must_use]
pub fn supported(scaling: bool) -> &'static [NDIS_OID] {
    &NUMBERS[..NUMBERS.len() - usize::from(!scaling)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the first table of the manual that begins with that heading, without their marks.
    fn rows(heading: &str) -> Vec<Vec<String>> {
        let manual = include_str!("../../docs/src/driver/ethernet.md");
        let (_, table) = manual.split_once(heading).expect("the manual has the table");
        table
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let cells = line.trim_matches('|').split('|');
                cells
                    .map(|cell| cell.trim().trim_matches('`').to_owned())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn scaling_is_left_out_where_it_is_off() {
        let scaling = ndk_sys::OID_GEN_RECEIVE_SCALE_PARAMETERS;
        assert!(supported(true).contains(&scaling));
        assert!(!supported(false).contains(&scaling));
        assert_eq!(supported(false).len(), OIDS.len() - 1);
    }

    #[test]
    fn the_manual_lists_the_oids() {
        let yes = |on: bool| if on { "yes" } else { "" };
        let expected: Vec<Vec<String>> = OIDS
            .iter()
            .map(|oid| {
                [oid.name, yes(oid.query), yes(oid.set), yes(oid.mandatory)]
                    .map(str::to_owned)
                    .to_vec()
            })
            .collect();
        let listed: Vec<Vec<String>> = rows("## OIDs")
            .iter()
            .skip(2)
            .map(|row| row[..4].to_vec())
            .collect();
        assert_eq!(listed, expected);
    }

    #[test]
    fn the_manual_lists_the_keywords() {
        use crate::ndis::config::{KEYWORDS, NETWORK_ADDRESS, Values};
        let mut expected: Vec<Vec<String>> = KEYWORDS
            .iter()
            .map(|keyword| {
                let values = match keyword.values {
                    Values::Choice(values) => {
                        values.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
                    }
                    Values::Range { min, max, step } => format!("{min} to {max}, step {step}"),
                };
                vec![keyword.name.to_owned(), values, keyword.default.to_string()]
            })
            .collect();
        expected.push(vec![
            NETWORK_ADDRESS.to_owned(),
            "12 hexadecimal digits".to_owned(),
            String::new(),
        ]);
        let listed: Vec<Vec<String>> = rows("## Keywords")
            .iter()
            .skip(2)
            .map(|row| row[..3].to_vec())
            .collect();
        assert_eq!(listed, expected);
    }
}
