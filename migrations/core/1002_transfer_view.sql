-- The list of transfers, as customers and support staff ask for it. A projection of the `transfer` streams.

create table transfer_view (
    id             uuid        not null constraint transfer_view_id primary key,
    status         text        not null,
    status_reason  text,
    from_account   uuid        not null,
    amount         bigint      not null,
    currency       text        not null,
    requested_at   timestamptz not null,
    changed_at     timestamptz not null
);
create index transfer_view_requested on transfer_view (requested_at desc, id desc);
create index transfer_view_status on transfer_view (status, requested_at desc, id desc);
create index transfer_view_account on transfer_view (from_account, requested_at desc, id desc);

grant select, insert, update, delete on transfer_view to lunaria_app;
