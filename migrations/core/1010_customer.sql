-- The list of customers, as support staff ask for it. A projection of the `customer` streams.

create table customer_view (
    id            uuid        not null constraint customer_view_id primary key,
    name          text        not null,
    -- Of the name, in small letters: what it is found by.
    words         text[]      not null,
    registered_at timestamptz not null,
    changed_at    timestamptz not null
);
create index customer_view_registered on customer_view (registered_at desc, id desc);
create index customer_view_words on customer_view using gin (array_to_tsvector(words));

grant select, insert, update, delete on customer_view to lunaria_app;
insert into projection (name, tables) values ('customer.view', '{customer_view}');

-- Whose accounts are whose: an index over the events themselves, so that no account is known too late. Appends wait while it is built: some
-- seconds for each ten million events.
create index event_account_customer on event ((data->>'customer_id'), stream)
    where type = 'Opened' and stream like 'account-%' and data ? 'customer_id';
