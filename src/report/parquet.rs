//! The tidy tables as Apache Parquet, beside the CSVs and made of them: the same rows in the same order, but typed and compressed.
//!
//! Numbers are doubles or 64-bit whole numbers, texts are UTF-8 with a dictionary, and an empty field is null. The bytes depend on the
//! table alone: nothing says when or where a file was written.

use std::io::{self, Read, Write};
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type as Schema;

use crate::report::NamedBytes;

/// Rows of a row group: so many are in memory at a time.
const ROWS: usize = 1 << 17;
/// Columns of whole numbers in the tables of results.
const WHOLE: [&str; 3] = ["n", "count", "replication"];
/// Columns of other numbers.
const NUMBERS: [&str; 5] = ["value", "ci_low", "ci_high", "t_seconds", "le_seconds"];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Texts.
    Text,
    /// Doubles.
    Number,
    /// Signed whole numbers of 64 bits.
    Whole,
}

impl Type {
    /// The type of a column of the tables of results.
    pub fn of_column(name: &str) -> Type {
        match name {
            _ if WHOLE.contains(&name) => Type::Whole,
            _ if NUMBERS.contains(&name) => Type::Number,
            _ => Type::Text,
        }
    }

    /// The narrowest type that holds all of these.
    pub fn of_values<'t>(values: impl Iterator<Item = &'t str> + Clone) -> Type {
        let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
        match () {
            () if values.clone().all(|text| text.parse::<i64>().is_ok()) => Type::Whole,
            () if values.clone().all(is_number) => Type::Number,
            () => Type::Text,
        }
    }
}

/// The tables among `files`, with their names.
pub fn of_tables(files: &[NamedBytes]) -> Vec<NamedBytes> {
    let tables = files
        .iter()
        .filter_map(|(name, bytes)| Some((name.strip_suffix(".csv")?, bytes)));
    let copy = |(name, bytes): (&str, &Vec<u8>)| {
        let copied = copy(bytes.as_slice(), Vec::new(), &[]).expect("these tables were written by this program, to memory");
        (format!("{name}.parquet"), copied)
    };
    tables.map(copy).collect()
}

/// Copies a table with a header from CSV and gives `to` back. `first` holds the types of the first columns; the others go by their names.
///
/// # Errors
/// If it cannot be read or written, or a number is none.
pub fn copy<W: Write + Send>(from: impl Read, to: W, first: &[Type]) -> io::Result<W> {
    let mut reader = ReaderBuilder::new().from_reader(from);
    let header = reader.headers()?.clone();
    let types = header.iter().enumerate();
    let types = types.map(|(index, name)| first.get(index).copied().unwrap_or_else(|| Type::of_column(name)));
    let mut columns: Vec<Column> = types.map(Column::new).collect();
    let fields = header.iter().zip(&columns).map(|(name, column)| column.schema(name));
    let schema = Schema::group_type_builder("table")
        .with_fields(fields.collect::<Result<_, _>>().map_err(told)?)
        .build();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(format!("meshsim {}", env!("CARGO_PKG_VERSION")));
    let schema = Arc::new(schema.map_err(told)?);
    let mut writer = SerializedFileWriter::new(to, schema, Arc::new(properties.build())).map_err(told)?;
    let (mut record, mut rows) = (StringRecord::new(), 0);
    while reader.read_record(&mut record)? {
        for (column, field) in columns.iter_mut().zip(&record) {
            column.push(field)?;
        }
        rows += 1;
        if rows == ROWS {
            write_rows(&mut writer, &mut columns)?;
            rows = 0;
        }
    }
    if rows > 0 {
        write_rows(&mut writer, &mut columns)?;
    }
    writer.into_inner().map_err(told)
}

fn write_rows<W: Write + Send>(writer: &mut SerializedFileWriter<W>, columns: &mut [Column]) -> io::Result<()> {
    let mut group = writer.next_row_group().map_err(told)?;
    columns
        .iter_mut()
        .try_for_each(|column| column.write(&mut group))
        .map_err(told)?;
    group.close().map(drop).map_err(told)
}

fn told(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

/// The fields of a column that are not written yet.
struct Column {
    values: Values,
    /// By row: 1 where there is a value, 0 where there is none.
    present: Vec<i16>,
}

enum Values {
    Texts(Vec<ByteArray>),
    Numbers(Vec<f64>),
    Wholes(Vec<i64>),
}

impl Column {
    fn new(of: Type) -> Column {
        Column {
            values: match of {
                Type::Text => Values::Texts(Vec::new()),
                Type::Number => Values::Numbers(Vec::new()),
                Type::Whole => Values::Wholes(Vec::new()),
            },
            present: Vec::new(),
        }
    }

    fn schema(&self, name: &str) -> Result<Arc<Schema>, ParquetError> {
        let (physical, logical) = match self.values {
            Values::Texts(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Values::Numbers(_) => (Physical::DOUBLE, None),
            Values::Wholes(_) => (Physical::INT64, None),
        };
        let schema = Schema::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        schema.build().map(Arc::new)
    }

    fn push(&mut self, field: &str) -> io::Result<()> {
        self.present.push(i16::from(!field.is_empty()));
        if field.is_empty() {
            return Ok(());
        }
        match &mut self.values {
            Values::Texts(values) => values.push(ByteArray::from(field)),
            Values::Numbers(values) => values.push(field.parse().map_err(io::Error::other)?),
            Values::Wholes(values) => values.push(field.parse().map_err(io::Error::other)?),
        }
        Ok(())
    }

    /// Writes what there is and forgets it.
    fn write<W: Write + Send>(&mut self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        match &mut self.values {
            Values::Texts(values) => write_column::<ByteArrayType, W>(group, values, &self.present),
            Values::Numbers(values) => write_column::<DoubleType, W>(group, values, &self.present),
            Values::Wholes(values) => write_column::<Int64Type, W>(group, values, &self.present),
        }?;
        self.present.clear();
        Ok(())
    }
}

fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &mut Vec<T::T>,
    present: &[i16],
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.expect("the schema has a column for each");
    column.typed::<T>().write_batch(values, Some(present), None)?;
    values.clear();
    column.close()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    const TABLE: &str = "variant,name,value,n,method\na,\"x, \"\"y\"\"\",0.1,10,t\nb,é,,,\na,z,-3e-9,7,wilson\n";

    fn reader(bytes: &[u8]) -> SerializedFileReader<File> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("it can be written");
        SerializedFileReader::new(file).expect("it is Parquet")
    }

    fn rows(bytes: &[u8]) -> Vec<Vec<Field>> {
        let reader = reader(bytes);
        let rows = reader.get_row_iter(None).expect("it has rows");
        let fields = rows.map(|row| {
            row.expect("it can be read")
                .get_column_iter()
                .map(|(_, field)| field.clone())
                .collect()
        });
        fields.collect()
    }

    #[test]
    fn rows_come_back_typed_and_empty_fields_are_null() {
        let bytes = copy(TABLE.as_bytes(), Vec::new(), &[]).expect("it can be copied");
        assert_eq!(bytes, copy(TABLE.as_bytes(), Vec::new(), &[]).expect("it can be copied"));
        let text = |text: &str| Field::Str(text.to_string());
        assert_eq!(
            rows(&bytes),
            [
                vec![text("a"), text("x, \"y\""), Field::Double(0.1), Field::Long(10), text("t")],
                vec![text("b"), text("é"), Field::Null, Field::Null, Field::Null],
                vec![text("a"), text("z"), Field::Double(-3e-9), Field::Long(7), text("wilson")],
            ]
        );
    }

    #[test]
    fn long_tables_have_several_row_groups() {
        let lines: String = (0..ROWS + 5).map(|row| format!("{row},{}\n", row % 3)).collect();
        let table = format!("t_seconds,name\n{lines}");
        let bytes = copy(table.as_bytes(), Vec::new(), &[Type::Whole]).expect("it can be copied");
        assert_eq!(reader(&bytes).num_row_groups(), 2);
        let rows = rows(&bytes);
        assert_eq!(rows.len(), ROWS + 5);
        let last = (ROWS + 4) as i64;
        assert_eq!(rows[ROWS + 4], [Field::Long(last), Field::Str((last % 3).to_string())]);
    }

    #[test]
    fn what_is_no_number_is_told() {
        assert!(copy("value\nmuch\n".as_bytes(), Vec::new(), &[]).is_err());
        let empty = copy("value,n\n".as_bytes(), Vec::new(), &[]).expect("a table without rows");
        assert_eq!(rows(&empty), Vec::<Vec<Field>>::new());
    }

    #[test]
    fn types_are_as_narrow_as_values_allow() {
        let of = |values: &[&'static str]| Type::of_values(values.iter().copied());
        assert_eq!(of(&["1", "-2"]), Type::Whole);
        assert_eq!(of(&["1", "0.5", "1e3"]), Type::Number);
        assert_eq!(of(&["1", "20ms"]), Type::Text);
        assert_eq!(of(&["1", "inf"]), Type::Text);
    }
}
