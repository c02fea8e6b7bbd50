//! Resources as values of the C ABI.

use folkmoot_params::Params;
use wasmtime::component::Resource;

use super::datum::{Datum, Taken, items, pairs};

impl<T: 'static> From<Resource<T>> for Datum<'_> {
    fn from(own: Resource<T>) -> Self {
        Self::Handle(own.rep())
    }
}

impl<T: 'static> From<&Resource<T>> for Datum<'_> {
    fn from(own: &Resource<T>) -> Self {
        Self::Handle(own.rep())
    }
}

impl<T: 'static> From<&[Resource<T>]> for Datum<'_> {
    fn from(own: &[Resource<T>]) -> Self {
        Self::List(own.iter().map(Self::from).collect())
    }
}

impl<T: 'static> Taken for Resource<T> {
    fn taken(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Handle(handle) => Ok(Self::new_own(handle)),
            other => Err(format!(
                "a handle is wanted where {:?} is given",
                other.tag()
            )),
        }
    }
}

impl Taken for Vec<Resource<Params>> {
    fn taken(datum: Datum) -> Result<Self, String> {
        items(datum)
    }
}

impl Taken for Vec<(Resource<Params>, f64)> {
    fn taken(datum: Datum) -> Result<Self, String> {
        pairs(datum)
    }
}
