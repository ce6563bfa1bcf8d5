//! The description of one route.

use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, RefOr, Required, Schema};

use super::responses::{self, Answers};
use super::{BASE, TOKEN};

/// What the document says of a route.
pub(in crate::http) struct Route {
    method: HttpMethod,
    path: &'static str,
    summary: &'static str,
    more: &'static str,
    parameters: Vec<Parameter>,
    body: Option<(RefOr<Schema>, &'static str)>,
    schemas: Vec<(String, RefOr<Schema>)>,
    answers: Answers,
}

/// A route as the document takes it.
pub(super) struct Described {
    pub(super) path: String,
    pub(super) item: PathItem,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Route {
    fn new(method: HttpMethod, path: &'static str, summary: &'static str) -> Self {
        let (parameters, schemas, answers) = (Vec::new(), Vec::new(), Answers::default());
        Self { method, path, summary, more: "", parameters, body: None, schemas, answers }
    }

    /// A route below [`BASE`], with what it does in a few words.
    pub(in crate::http) fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Get, path, summary)
    }

    /// The same.
    pub(in crate::http) fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Post, path, summary)
    }

    /// The same.
    pub(in crate::http) fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Put, path, summary)
    }

    /// The same.
    pub(in crate::http) fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Delete, path, summary)
    }

    /// The same.
    pub(in crate::http) fn patch(path: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Patch, path, summary)
    }

    /// What else there is to know of it.
    pub(in crate::http) fn says(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    /// A parameter that it reads.
    pub(in crate::http) fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Several parameters that it reads.
    pub(in crate::http) fn parameters(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// The type of its body.
    pub(in crate::http) fn body<T: ToSchema>(mut self, says: &'static str) -> Self {
        T::schemas(&mut self.schemas);
        self.body_schema(T::schema(), says)
    }

    /// The same, when there is no type for it.
    pub(in crate::http) fn body_schema(mut self, schema: impl Into<RefOr<Schema>>, says: &'static str) -> Self {
        self.body = Some((schema.into(), says));
        self
    }

    /// The type of the `data` that it answers with; null unless it is named.
    pub(in crate::http) fn answers<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        self.answers.data = Some(T::schema());
        self
    }

    /// An errno that it may answer with, and when.
    pub(in crate::http) fn errno(mut self, errno: u16, when: &'static str) -> Self {
        self.answers.errnos.push((errno, when));
        self
    }

    /// Anybody may call it, and it asks nobody.
    pub(in crate::http) fn open(mut self) -> Self {
        self.answers.open = true;
        self
    }

    pub(super) fn describe(mut self, group: &str) -> Described {
        self.answers.body = self.body.is_some();
        self.answers.input = self.answers.body || !self.parameters.is_empty();
        let path = format!("{BASE}{}", self.path);
        let operation = self.operation(group);
        Described { path, item: PathItem::new(self.method, operation), schemas: self.schemas }
    }

    fn operation(&self, group: &str) -> Operation {
        let mut operation = OperationBuilder::new()
            .tag(group)
            .operation_id(Some(self.operation_id()))
            .summary(Some(self.summary))
            .responses(responses::of(&self.answers));
        if !self.more.is_empty() {
            operation = operation.description(Some(self.more));
        }
        for parameter in &self.parameters {
            operation = operation.parameter(parameter.clone());
        }
        if let Some((schema, says)) = &self.body {
            let content = ContentBuilder::new().schema(Some(schema.clone())).build();
            let body = RequestBodyBuilder::new().required(Some(Required::True)).description(Some(*says));
            operation = operation.request_body(Some(body.content("application/json", content).build()));
        }
        if !self.answers.open {
            // Either will do: a server without a token asks for none.
            operation = operation
                .security(SecurityRequirement::new(TOKEN, Vec::<String>::new()))
                .security(SecurityRequirement::default());
        }
        operation.build()
    }

    /// `get_users_profile` for `GET /users/profile/{user_id}`; ids are named only where they tell routes apart.
    fn operation_id(&self) -> String {
        let method = match self.method {
            HttpMethod::Post => "post",
            HttpMethod::Put => "put",
            HttpMethod::Delete => "delete",
            HttpMethod::Patch => "patch",
            _ => "get",
        };
        let last = self.parameters.iter().rfind(|p| matches!(p.parameter_in, ParameterIn::Path));
        let last = last.map_or("", |p| p.name.as_str());
        let words = self.path.split('/').filter_map(|part| match part.strip_prefix('{') {
            None => Some(part),
            Some(name) => name.strip_suffix('}').filter(|name| *name == last && *name != "user_id"),
        });
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        format!("{method}_{}", words.join("_"))
    }
}
