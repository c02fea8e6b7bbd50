//! Values of the C ABI as Rust has them: read off the other side's memory, laid out for it to read. The host compiles
//! this very file.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::abi::{Tag, Value};

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub enum Datum<'a> {
    Nothing,
    Unsigned(u64),
    Number(f64),
    Handle(u32),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    F32s(Cow<'a, [f32]>),
    F64s(Cow<'a, [f64]>),
    U32s(Cow<'a, [u32]>),
    List(Vec<Self>),
}

/// Lists within lists at most: no function has more than two.
const DEEPEST: usize = 4;

impl<'a> Datum<'a> {
    /// What `value` says.
    ///
    /// # Safety
    /// What `value` points to must be readable, and stay unchanged, for `'a`.
    #[allow(unsafe_code, reason = "memory of the other side of a C ABI")]
    pub unsafe fn read(value: &Value) -> Result<Self, String> {
        // SAFETY: the caller's promise.
        unsafe { Self::read_to(value, DEEPEST) }
    }

    /// # Safety
    /// As for [`Datum::read`].
    #[allow(unsafe_code, reason = "memory of the other side of a C ABI")]
    unsafe fn read_to(value: &Value, depth: usize) -> Result<Self, String> {
        let tag =
            Tag::of(value.tag).ok_or_else(|| format!("no value has the tag {}", value.tag))?;
        // SAFETY: every bit pattern is an integer, a number and a pointer; a pointer is only followed where the tag
        // says that it is one, within the length, as the caller promises.
        unsafe {
            Ok(match tag {
                Tag::Nothing => Self::Nothing,
                Tag::Unsigned => Self::Unsigned(value.payload.integer),
                Tag::Number => Self::Number(value.payload.number),
                Tag::Handle => {
                    let handle = value.payload.integer;
                    let handle =
                        u32::try_from(handle).map_err(|_| format!("no handle is {handle}"))?;
                    Self::Handle(handle)
                }
                Tag::Text => {
                    let text = std::str::from_utf8(slice(value)?);
                    Self::Text(
                        text.map_err(|error| format!("a text is not UTF-8: {error}"))?
                            .into(),
                    )
                }
                Tag::Bytes => Self::Bytes(Cow::Borrowed(slice(value)?)),
                Tag::F32s => Self::F32s(Cow::Borrowed(slice(value)?)),
                Tag::F64s => Self::F64s(Cow::Borrowed(slice(value)?)),
                Tag::U32s => Self::U32s(Cow::Borrowed(slice(value)?)),
                Tag::List => {
                    let depth = depth
                        .checked_sub(1)
                        .ok_or("lists within lists within lists")?;
                    let items = slice::<Value>(value)?.iter();
                    Self::List(
                        items
                            .map(|item| Self::read_to(item, depth))
                            .collect::<Result<_, _>>()?,
                    )
                }
            })
        }
    }

    /// What it is, in the header's words.
    pub fn tag(&self) -> Tag {
        match self {
            Self::Nothing => Tag::Nothing,
            Self::Unsigned(_) => Tag::Unsigned,
            Self::Number(_) => Tag::Number,
            Self::Handle(_) => Tag::Handle,
            Self::Text(_) => Tag::Text,
            Self::Bytes(_) => Tag::Bytes,
            Self::F32s(_) => Tag::F32s,
            Self::F64s(_) => Tag::F64s,
            Self::U32s(_) => Tag::U32s,
            Self::List(_) => Tag::List,
        }
    }

    /// Lays it out; the lists within it go to `lists`.
    fn lower(&self, lists: &mut Vec<Vec<Value>>) -> Value {
        match self {
            Self::Nothing => Value::NOTHING,
            Self::Unsigned(own) => Value::integer(Tag::Unsigned, *own),
            Self::Number(own) => Value::number(*own),
            Self::Handle(own) => Value::integer(Tag::Handle, u64::from(*own)),
            Self::Text(own) => Value::items(Tag::Text, own.as_bytes()),
            Self::Bytes(own) => Value::items(Tag::Bytes, own),
            Self::F32s(own) => Value::items(Tag::F32s, own),
            Self::F64s(own) => Value::items(Tag::F64s, own),
            Self::U32s(own) => Value::items(Tag::U32s, own),
            Self::List(own) => {
                let items: Vec<Value> = own.iter().map(|item| item.lower(lists)).collect();
                let value = Value::items(Tag::List, &items);
                // Its items stay where they are when the vector that holds them moves.
                lists.push(items);
                value
            }
        }
    }
}

/// # Safety
/// As for [`Datum::read`].
#[allow(unsafe_code, reason = "memory of the other side of a C ABI")]
unsafe fn slice<'a, T>(value: &Value) -> Result<&'a [T], String> {
    let length = value.length;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: every bit pattern is a pointer.
    let items = unsafe { value.payload.items }.cast::<T>();
    if items.is_null() || !items.is_aligned() {
        return Err(format!("{length} items lie at {items:p}, which cannot be"));
    }
    if length > isize::MAX as usize / size_of::<T>() {
        return Err(format!("{length} items are more than memory holds"));
    }
    // SAFETY: not null, aligned, not too long, and readable as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(items, length) })
}

/// Values laid out for the other side, with all that they point to.
pub struct Lowered<'a> {
    values: Vec<Value>,
    _lists: Vec<Vec<Value>>,
    _data: Vec<Datum<'a>>,
    _borrowed: PhantomData<&'a ()>,
}

impl<'a> Lowered<'a> {
    /// `data` in this order.
    pub fn new(data: Vec<Datum<'a>>) -> Self {
        let mut lists = Vec::new();
        let values = data.iter().map(|datum| datum.lower(&mut lists)).collect();
        Self {
            values,
            _lists: lists,
            _data: data,
            _borrowed: PhantomData,
        }
    }

    /// They hold as long as this does.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

/// What can be made of a value.
pub trait Taken: Sized {
    /// It, or what it is instead.
    fn taken(datum: Datum) -> Result<Self, String>;
}

/// The error of a value that is something else.
fn other<T>(wanted: &str, datum: &Datum) -> Result<T, String> {
    Err(format!(
        "{wanted} is wanted where {:?} is given",
        datum.tag()
    ))
}

/// `$type` is the datum `$member`, there and back.
macro_rules! plain {
    ($($type:ty = $member:ident, $wanted:literal, $give:expr, $take:expr;)*) => {$(
        impl From<$type> for Datum<'_> {
            fn from(own: $type) -> Self {
                let give: fn($type) -> _ = $give;
                Self::$member(give(own))
            }
        }

        impl Taken for $type {
            fn taken(datum: Datum) -> Result<Self, String> {
                match datum {
                    Datum::$member(own) => {
                        let take: fn(_) -> Option<$type> = $take;
                        take(own).ok_or_else(|| format!("a value is out of the range of {}", stringify!($type)))
                    }
                    datum => other($wanted, &datum),
                }
            }
        }
    )*};
}

plain! {
    bool = Unsigned, "a truth value", u64::from, |own: u64| (own < 2).then_some(own == 1);
    u32 = Unsigned, "a number of 32 bits", u64::from, |own: u64| own.try_into().ok();
    u64 = Unsigned, "a whole number", |own| own, Some;
    f32 = Number, "a number", f64::from, |own: f64| Some(own as f32);
    f64 = Number, "a number", |own| own, Some;
}

/// `$type` is the datum `$member`, owned or borrowed.
macro_rules! sequence {
    ($($type:ty, $slice:ty = $member:ident, $wanted:literal;)*) => {$(
        impl From<$type> for Datum<'_> {
            fn from(own: $type) -> Self {
                Self::$member(Cow::Owned(own))
            }
        }

        impl<'a> From<&'a $slice> for Datum<'a> {
            fn from(own: &'a $slice) -> Self {
                Self::$member(Cow::Borrowed(own))
            }
        }

        impl Taken for $type {
            fn taken(datum: Datum) -> Result<Self, String> {
                match datum {
                    Datum::$member(own) => Ok(own.into_owned()),
                    datum => other($wanted, &datum),
                }
            }
        }
    )*};
}

sequence! {
    String, str = Text, "a text";
    Vec<u8>, [u8] = Bytes, "a list of bytes";
    Vec<f32>, [f32] = F32s, "a list of f32";
    Vec<f64>, [f64] = F64s, "a list of f64";
    Vec<u32>, [u32] = U32s, "a list of u32";
}

/// A list of `$type`, which has no tag of its own.
macro_rules! list {
    ($($type:ty),*) => {$(
        impl From<Vec<$type>> for Datum<'_> {
            fn from(own: Vec<$type>) -> Self {
                Self::List(own.into_iter().map(Self::from).collect())
            }
        }

        impl Taken for Vec<$type> {
            fn taken(datum: Datum) -> Result<Self, String> {
                items(datum)
            }
        }
    )*};
}

list!(String, Vec<f32>, Vec<u32>);

/// The items of a list.
pub fn items<T: Taken>(datum: Datum) -> Result<Vec<T>, String> {
    match datum {
        Datum::List(own) => own.into_iter().map(T::taken).collect(),
        datum => other("a list", &datum),
    }
}

impl From<()> for Datum<'_> {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl Taken for () {
    fn taken(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Nothing => Ok(()),
            datum => other("nothing", &datum),
        }
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Datum<'a> {
    fn from(own: Option<T>) -> Self {
        own.map_or(Datum::Nothing, Into::into)
    }
}

impl<T: Taken> Taken for Option<T> {
    fn taken(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Nothing => Ok(None),
            datum => T::taken(datum).map(Some),
        }
    }
}

impl<'a, A: Into<Self>, B: Into<Self>> From<(A, B)> for Datum<'a> {
    fn from((a, b): (A, B)) -> Self {
        Datum::List(vec![a.into(), b.into()])
    }
}

impl<A: Taken, B: Taken> Taken for (A, B) {
    fn taken(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::List(own) => match <[Datum; 2]>::try_from(own) {
                Ok([a, b]) => Ok((A::taken(a)?, B::taken(b)?)),
                Err(own) => Err(format!(
                    "a pair is wanted where a list of {} is given",
                    own.len()
                )),
            },
            datum => other("a pair", &datum),
        }
    }
}

/// Pairs travel as two columns.
pub fn pairs<A, B>(datum: Datum) -> Result<Vec<(A, B)>, String>
where
    Vec<A>: Taken,
    Vec<B>: Taken,
{
    let (a, b): (Vec<A>, Vec<B>) = Taken::taken(datum)?;
    match a.len() == b.len() {
        true => Ok(a.into_iter().zip(b).collect()),
        false => Err(format!(
            "columns of {} and {} items are no list of pairs",
            a.len(),
            b.len()
        )),
    }
}

/// A list of pairs of `$type`.
macro_rules! list_of_pairs {
    ($($type:ty),*) => {$(
        impl From<Vec<($type, $type)>> for Datum<'_> {
            fn from(own: Vec<($type, $type)>) -> Self {
                let (a, b): (Vec<$type>, Vec<$type>) = own.into_iter().unzip();
                (a, b).into()
            }
        }

        impl Taken for Vec<($type, $type)> {
            fn taken(datum: Datum) -> Result<Self, String> {
                pairs(datum)
            }
        }
    )*};
}

list_of_pairs!(f64, String);
