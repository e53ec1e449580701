-- The list of payments from other banks, as customers and support staff ask for it. A projection of the `incoming` streams.

create table incoming_view (
    id          uuid        not null constraint incoming_view_id primary key,
    status      text        not null default 'pending',
    -- The latest reason why a person has to look.
    attention   text,
    account_id  uuid,
    amount      bigint      not null,
    currency    text        not null,
    received_at timestamptz not null,
    changed_at  timestamptz not null
);
create index incoming_view_received on incoming_view (received_at desc, id desc);
create index incoming_view_status on incoming_view (status, received_at desc, id desc);
create index incoming_view_account on incoming_view (account_id, received_at desc, id desc);
create index incoming_view_attention on incoming_view (received_at desc, id desc) where attention is not null;

grant select, insert, update, delete on incoming_view to lunaria_app;
