-- The list of orders, as customers ask for it. A projection of the `order` streams.

create table order_view (
    id           uuid        not null constraint order_view_id primary key,
    credit_id    uuid        not null,
    from_account uuid        not null,
    to_account   uuid        not null,
    status       text        not null default 'awaiting_payment',
    amount       bigint      not null,
    currency     text        not null,
    placed_at    timestamptz not null,
    changed_at   timestamptz not null
);
create index order_view_placed on order_view (placed_at desc, id desc);
create index order_view_status on order_view (status, placed_at desc, id desc);
create index order_view_credit on order_view (credit_id, placed_at desc, id desc);
create index order_view_account on order_view (from_account, placed_at desc, id desc);

grant select, insert, update, delete on order_view to lunaria_app;
