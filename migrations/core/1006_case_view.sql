-- What needs a person, as those ask for it who are on call. A projection of the `case` streams.

create table case_view (
    id         uuid        not null constraint case_view_id primary key,
    subject    text        collate "C" not null,
    reason     text        not null,
    amount     bigint      not null,
    currency   text        not null,
    is_open    boolean     not null default true,
    raised_at  timestamptz not null,
    changed_at timestamptz not null
);
create index case_view_raised on case_view (raised_at desc, id desc);
create index case_view_open on case_view (raised_at desc, id desc) where is_open;
create index case_view_subject on case_view (subject, raised_at desc, id desc);

grant select, insert, update, delete on case_view to lunaria_app;
