//! What Postgres tells about a table before its first row, and again after the table has changed.

use crate::error::Error;
use crate::reader::Reader;

/// Flag bit of a column that is part of the replica identity.
const KEY: u8 = 1;
/// Flags, an empty name, type and modifier.
const COLUMN_BYTES_MIN: usize = 1 + 1 + 4 + 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub id: u32,
    /// Empty for `pg_catalog`.
    pub namespace: String,
    pub name: String,
    pub replica_identity: ReplicaIdentity,
    pub columns: Vec<RelationColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    pub flags: u8,
    pub name: String,
    pub type_oid: u32,
    /// `atttypmod`; -1 when the type takes no modifier.
    pub type_modifier: i32,
}

/// `pg_class.relreplident`: which old values an update or a delete carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    Default,
    Nothing,
    Full,
    Index,
}

impl Relation {
    pub(crate) fn read(reader: &mut Reader) -> Result<Self, Error> {
        let id = reader.u32()?;
        let namespace = reader.name()?;
        let name = reader.name()?;
        let replica_identity = ReplicaIdentity::read(reader)?;
        let count = usize::from(reader.count()?);
        reader.require(count, COLUMN_BYTES_MIN)?;
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            columns.push(RelationColumn::read(reader)?);
        }
        Ok(Self { id, namespace, name, replica_identity, columns })
    }
}

impl RelationColumn {
    /// Whether the column is part of the replica identity.
    pub fn is_key(&self) -> bool {
        self.flags & KEY != 0
    }

    fn read(reader: &mut Reader) -> Result<Self, Error> {
        Ok(Self {
            flags: reader.u8()?,
            name: reader.name()?,
            type_oid: reader.u32()?,
            type_modifier: reader.i32()?,
        })
    }
}

impl ReplicaIdentity {
    pub(crate) fn tag(self) -> u8 {
        match self {
            Self::Default => b'd',
            Self::Nothing => b'n',
            Self::Full => b'f',
            Self::Index => b'i',
        }
    }

    fn read(reader: &mut Reader) -> Result<Self, Error> {
        match reader.u8()? {
            b'd' => Ok(Self::Default),
            b'n' => Ok(Self::Nothing),
            b'f' => Ok(Self::Full),
            b'i' => Ok(Self::Index),
            tag => Err(reader.unknown("replica identity", tag)),
        }
    }
}
