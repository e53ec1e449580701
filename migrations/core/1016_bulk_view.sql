-- Many corrections that are approved together. A projection of the `bulk` streams; their items are corrections.

create table bulk_view (
    id           uuid        not null constraint bulk_view_id primary key,
    status       text        not null,
    items        integer     not null,
    reason_code  text        not null,
    evidence     text        not null,
    requested_by text        not null,
    -- Other than waiting for people.
    has_work     boolean     not null,
    requested_at timestamptz not null,
    changed_at   timestamptz not null
);
create index bulk_view_requested on bulk_view (requested_at desc, id desc);
create index bulk_view_work on bulk_view (requested_at, id) where has_work;

insert into projection (name, tables) values ('bulk.view', '{bulk_view}');

grant select, insert, update, delete on bulk_view to lunaria_app;
