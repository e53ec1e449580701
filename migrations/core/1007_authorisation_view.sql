-- The list of payments by card, as customers and support staff ask for it. A projection of the `authorisation` streams.

create table authorisation_view (
    id         uuid        not null constraint authorisation_view_id primary key,
    card_id    uuid        not null,
    -- Null where nothing was ever done to an account.
    account_id uuid,
    status     text        not null,
    -- The latest reason why a person has to look.
    attention  text,
    approved   bigint      not null,
    held       bigint      not null,
    captured   bigint      not null,
    refunded   bigint      not null,
    currency   text        not null,
    opened_at  timestamptz not null,
    changed_at timestamptz not null
);
create index authorisation_view_opened on authorisation_view (opened_at desc, id desc);
create index authorisation_view_status on authorisation_view (status, opened_at desc, id desc);
create index authorisation_view_card on authorisation_view (card_id, opened_at desc, id desc);
create index authorisation_view_account on authorisation_view (account_id, opened_at desc, id desc);
create index authorisation_view_attention on authorisation_view (opened_at desc, id desc) where attention is not null;

grant select, insert, update, delete on authorisation_view to lunaria_app;
