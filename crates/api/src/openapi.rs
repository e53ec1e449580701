//! The OpenAPI 3.1 document: what utoipa reads off the handlers, and what all operations have in common.
//!
//! ```text
//! GET /openapi.json     GET /docs/  Swagger UI, served from here     GET /errors   /errors/{code}
//! ```

use ::access::Role;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::Method;
use axum::{Json, Router, routing::get};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::access::{Access, access};
use crate::{Code, Problem, schema};

/// Of several kinds, which `deny_unknown_fields` is not told of.
const CLOSED: [&str; 2] = ["CorrectionKind", "PaymentOutcome"];
/// It leaves nothing that could be left twice.
const PREVIEW: &str = "/v1/corrections/preview";
const ABOUT: &str = "Amounts are strings of minor units with their ISO 4217 code: `{\"amount\":\"12500\",\"currency\":\"DKK\"}` is 125.00 kr.

**Who asks** shows an API key, or a token of the identity provider: `Authorization: Bearer KEY`. Each operation names the roles of which one is needed.

**Each POST but `/v1/corrections/preview` needs an `Idempotency-Key`**: a new one for each new request, the same one with each retry. The same key gets the same answer, byte for byte
(`Idempotency-Replayed: true`), and has one effect; with other content it is an error. A refusal is an answer, and stays one. Keys are each principal's own, and never expire.
While the first request with a key is being answered, another one waits a moment, or `Prefer: wait=N` seconds (8 at most), and hears `request-running` (409) then.

**What can change has a version**: the `ETag` of the answer to a GET. A POST about it that has it as `If-Match` does nothing where that has changed since (412).

**A write answers with a `Consistency-Token`**: the `stream@seq` pairs that it has appended, 64 of them at most. A list that is asked for with it shows what the write has done.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`; `GET /errors` lists them. Where `retryable` is true the same request, with the same key, may be sent again
after `Retry-After` seconds.

**Lists** are newest first, streams oldest first. `next_cursor` is the `cursor` of the next page, and is absent on the last; rows that are added meanwhile move nothing.";

/// A stream and a seq, as a write names what it has appended.
const PAIR: &str = "[a-z]{1,20}-[0-9a-f]{1,20}(-[0-9a-f]{1,20}){0,8}@[1-9][0-9]{0,17}";
/// The scheme by which operations name their roles.
const SCHEME: &str = "key";

#[derive(OpenApi)]
#[openapi(
    info(title = "Lunaria", version = "1", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    components(schemas(schema::Problem)),
    tags(
        (name = "customers", description = "Whom accounts belong to"),
        (name = "accounts", description = "Accounts, their balances, and demo money"),
        (name = "transfers", description = "Between accounts here, and to other banks"),
        (name = "incoming payments", description = "What other banks pay to accounts here"),
        (name = "cards", description = "Cards, and payments by card"),
        (name = "orders", description = "Orders on credit"),
        (name = "cases", description = "What needs a person"),
        (name = "corrections", description = "What went wrong is mended, by two people"),
        (name = "parked", description = "What handlers could not handle"),
        (name = "events", description = "What has happened, as it was recorded"),
        (name = "sagas", description = "Which processes there are, and where their instances stand"),
        (name = "projections", description = "Read models, and the operations that build or verify them"),
        (name = "webhooks", description = "Who is told what happens"),
        (name = "keys", description = "Who may ask, and what"),
        (name = "external streams", description = "What other services read"),
    )
)]
pub(crate) struct Described;

/// Adds to each operation what follows from its method, its path and the table of rights.
pub(crate) fn complete(described: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(described).expect("what utoipa describes is JSON");
    document["components"]["securitySchemes"] = json!({
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, or a token of the identity provider. Each operation lists the roles of which one is needed.",
        }
    });
    let schemas = document["components"]["schemas"].as_object_mut();
    for (name, schema) in schemas.into_iter().flatten() {
        // A problem may repeat what was sent.
        if name != "Problem" {
            say_what_text_is(schema);
        }
        if CLOSED.contains(&name.as_str()) {
            close(schema);
        }
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                complete_operation(&method.to_uppercase(), path, operation);
            }
        }
    }
    document
}

fn complete_operation(method: &str, path: &str, operation: &mut Map<String, Value>) {
    let named = |segment: &str| segment.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
    let in_path = path.split('/').filter_map(named).map(|name| {
        let format = if name == "id" {
            json!({ "type": "string", "format": "uuid" })
        } else {
            json!({ "type": "string" })
        };
        json!({ "name": name, "in": "path", "required": true, "schema": format })
    });
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let answered = answer_headers(method, path, id);
    let mut parameters: Vec<Value> = in_path.chain(headers(method, path, id)).collect();
    if let Some(Value::Array(described)) = operation.remove("parameters") {
        parameters.extend(described);
    }
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        let problem =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with('2')) {
            let told = answered.iter().filter(|(_, on, _)| on.is_none_or(|on| on == status));
            let told: Map<String, Value> = told
                .map(|(name, _, text)| {
                    ((*name).to_owned(), json!({ "description": text, "schema": { "type": "string" } }))
                })
                .collect();
            if !told.is_empty() {
                response["headers"] = told.into();
            }
        }
        let is_post = is_recorded(method, path);
        let refusals = [
            (
                "409",
                is_post,
                "What there is, or a request with the same key that is being answered, stands against it",
            ),
            (
                "412",
                is_post && path.contains("{id}"),
                "It has changed since the version that `If-Match` names",
            ),
            ("4XX", true, "The request is refused"),
            ("5XX", true, "It cannot be answered now"),
        ];
        for (status, _, description) in refusals.into_iter().filter(|(_, can_be, _)| *can_be) {
            responses.insert(status.to_owned(), json!({ "description": description, "content": problem }));
        }
    }
    if let Some(access) = access(method, path).filter(|access| *access != Access::Anybody) {
        let roles = access.roles();
        let named = |role: &Role| match role {
            Role::Customer => "`customer` (what is theirs)".to_owned(),
            role => format!("`{role}`"),
        };
        let names: Vec<String> = roles.iter().map(named).collect();
        let said = operation.get("description").and_then(Value::as_str).map(|text| format!("{text}\n\n"));
        let said = format!("{}Roles: {}.", said.unwrap_or_default(), names.join(", "));
        operation.insert("description".to_owned(), said.into());
        operation.insert("security".to_owned(), json!([{ SCHEME: roles }]));
    }
}

/// The headers that an answer has: their names, the only status that has them, and what they say.
fn answer_headers(
    method: &str,
    path: &str,
    id: &str,
) -> Vec<(&'static str, Option<&'static str>, &'static str)> {
    let mut headers = Vec::new();
    if method == Method::POST.as_str() {
        headers.push((
            "Consistency-Token",
            None,
            "What it has appended: `stream@seq` pairs, for a list that is to show it.",
        ));
        headers.push((
            "Idempotency-Replayed",
            None,
            "`true`: the answer to an earlier request with this key.",
        ));
        if !path.contains("{id}") {
            headers.push(("Location", Some("201"), "Where the new one is read."));
            headers.push(("Location", Some("202"), "Where one sees how far it has come."));
        }
    } else if id.starts_with("read") && path.contains("{id}") {
        headers.push(("ETag", None, "Its version: what `If-Match` takes."));
    }
    headers
}

/// Whether it has an effect, once for each key.
fn is_recorded(method: &str, path: &str) -> bool {
    method == Method::POST.as_str() && path != PREVIEW
}

/// No kind has other fields than its own.
fn close(kinds: &mut Value) {
    for kind in kinds["oneOf"].as_array_mut().into_iter().flatten() {
        kind["additionalProperties"] = false.into();
    }
}

/// No text holds what the database cannot keep.
fn say_what_text_is(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_text =
                fields.get("type").is_some_and(|of| *of == "string" || *of == json!(["string", "null"]));
            let is_narrower = ["pattern", "format", "enum"].iter().any(|rule| fields.contains_key(*rule));
            if is_text && !is_narrower {
                fields.insert("pattern".to_owned(), json!("^[^\\u0000]*$"));
            }
            fields.values_mut().for_each(say_what_text_is);
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(say_what_text_is),
        _ => {}
    }
}

/// The headers that an operation reads.
fn headers(method: &str, path: &str, id: &str) -> Vec<Value> {
    let header = |name: &str, required: bool, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": required, "description": description, "schema": schema });
    let is_post = is_recorded(method, path);
    let key = is_post.then(|| {
        header(
            "Idempotency-Key",
            true,
            "New for each new request, the same with each retry of it: 1 to 255 visible ASCII characters.",
            json!({
                "type": "string", "minLength": 1, "maxLength": 255,
                "pattern": "^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$",
                // A quoted string with nothing in it.
                "not": { "const": "\"\"" },
            }),
        )
    });
    let version = (is_post && path.contains("{id}")).then(|| {
        header(
            "If-Match",
            false,
            "The `ETag` of what was read, with its quotation marks or without: where it has changed since, the answer is `version-changed` (412), and nothing is done.",
            json!({ "type": "string", "minLength": 1, "pattern": "^[1-9][0-9]{0,17}$", "example": "7" }),
        )
    });
    let seen = (id.starts_with("list") || id == "requestBulkCorrection").then(|| {
        header(
            "Consistency-Token",
            false,
            "Of a write: the list shows what it has done, or says `projection-behind` after five seconds.",
            json!({ "type": "string", "pattern": format!("^({PAIR}(,{PAIR})*)?$") }),
        )
    });
    let wait = (id == "readTransfer").then(|| {
        header(
            "Prefer",
            false,
            "`wait=N`: answer once the transfer has ended or needs a person, after N seconds (8 at most) at the latest.",
            json!({ "type": "string", "pattern": "^wait=[0-9]{1,3}$", "example": "wait=5" }),
        )
    });
    let last = id.starts_with("follow").then(|| {
        header(
            "Last-Event-ID",
            false,
            "The `id` of the last event that was seen, as a browser sends it by itself: go on after that.",
            json!({ "type": "string", "pattern": "^[0-9]{1,15}$" }),
        )
    });
    [key, version, seen, wait, last].into_iter().flatten().collect()
}

/// The document, a page to read and try it by, and the table of errors.
pub(crate) fn router(document: Value) -> Router {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    Router::new()
        .route("/openapi.json", get(async move || Json(document)))
        .route("/errors", get(async || Json(json!({ "errors": Code::ALL.map(Code::describe).to_vec() }))))
        .route("/errors/{code}", get(error))
        .merge(page)
}

async fn error(name: Result<Path<String>, PathRejection>) -> Result<Json<Value>, Problem> {
    let is_it = |code: &Code| name.as_ref().is_ok_and(|Path(name)| code.name() == name);
    let code = Code::ALL.into_iter().find(is_it);
    let code = code.ok_or_else(|| Problem::new(Code::NotFound, "GET /errors lists those that there are"))?;
    Ok(Json(code.describe()))
}
