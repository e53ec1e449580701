-- Webhooks: the endpoints, a projection of the `webhook` streams, and what they have not been told yet.

create table webhook_endpoint (
    id             uuid        not null constraint webhook_endpoint_id primary key,
    url            text        not null,
    contracts      text[]      not null,
    status         text        not null,
    -- Of a pause.
    reason         text,
    -- Of its secret; the one before signs, too, until then.
    generation     bigint      not null,
    previous_until timestamptz,
    registered_at  timestamptz not null,
    changed_at     timestamptz not null
);
create index webhook_endpoint_registered on webhook_endpoint (registered_at desc, id desc);

-- A row for each stream of which an endpoint has something to hear. The events stay where they are.
create table webhook_queue (
    endpoint_id   uuid        not null,
    stream        text        collate "C" not null,
    next_seq      bigint      not null,
    last_seq      bigint      not null,
    -- When to try: at once at first, later the end of a claim, or of a pause.
    due_at        timestamptz not null default now(),
    attempts      integer     not null default 0,
    failing_since timestamptz,
    last_error    text,
    constraint webhook_queue_identity primary key (endpoint_id, stream)
);
create index webhook_queue_due on webhook_queue (endpoint_id, due_at);

-- Who is registered: an index over the events themselves, so that nobody is known too late. Appends wait while it is built: some seconds for each ten
-- million events.
create index event_webhook on event (stream) where type = 'EndpointRegistered' and stream like 'webhook-%';

grant select, insert, update, delete on webhook_endpoint, webhook_queue to lunaria_app;
insert into projection (name, tables) values ('webhook.view', '{webhook_endpoint}');
