//! The description of what [`Pictures`](super::Pictures) takes, made from its options.

use std::borrow::Cow;
use std::marker::PhantomData;

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A picture file's content.
pub(in crate::api) struct Picture;

/// A picture in base64 or its address, and options.
pub(in crate::api) struct JsonPicture<O>(PhantomData<O>);

/// A picture file or its address, and options.
pub(in crate::api) struct FormPicture<O>(PhantomData<O>);

impl PartialSchema for Picture {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .into()
    }
}

impl ToSchema for Picture {}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).description(Some(description))
}

/// The options' schema with a property more.
fn with<O: ToSchema>(properties: [(&str, ObjectBuilder); 2]) -> RefOr<Schema> {
    match O::schema() {
        RefOr::T(Schema::Object(mut object)) => {
            for (name, property) in properties {
                object.properties.insert(name.to_owned(), property.into());
            }
            object.into()
        }
        other => other,
    }
}

const URL: &str = "Address of the picture: http or https, and none of a private network unless that is allowed.";

impl<O: ToSchema> PartialSchema for JsonPicture<O> {
    fn schema() -> RefOr<Schema> {
        let image = text("The picture's bytes in base64; a data: prefix is left out.");
        with::<O>([("image", image), ("url", text(URL))])
    }
}

impl<O: ToSchema> ToSchema for JsonPicture<O> {
    fn name() -> Cow<'static, str> {
        format!("{}WithPicture", O::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        O::schemas(schemas);
    }
}

impl<O: ToSchema> PartialSchema for FormPicture<O> {
    fn schema() -> RefOr<Schema> {
        let image = text("The picture.").format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        with::<O>([("image", image), ("url", text(URL))])
    }
}

impl<O: ToSchema> ToSchema for FormPicture<O> {
    fn name() -> Cow<'static, str> {
        format!("{}Form", O::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        O::schemas(schemas);
    }
}

/// The options of two at once.
pub(in crate::api) struct Both<A, B>(PhantomData<(A, B)>);

impl<A: ToSchema, B: ToSchema> PartialSchema for Both<A, B> {
    fn schema() -> RefOr<Schema> {
        match (A::schema(), B::schema()) {
            (RefOr::T(Schema::Object(mut both)), RefOr::T(Schema::Object(more))) => {
                both.properties.extend(more.properties);
                both.into()
            }
            (one, _) => one,
        }
    }
}

impl<A: ToSchema, B: ToSchema> ToSchema for Both<A, B> {
    fn name() -> Cow<'static, str> {
        format!("{}And{}", A::name(), B::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        A::schemas(schemas);
        B::schemas(schemas);
    }
}
