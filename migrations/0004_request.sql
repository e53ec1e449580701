-- What was asked of the service from outside, and what it answered. A key of the same principal and operation has one
-- effect and one answer, a refusal included; the row commits with the events that follow from it and is permanent.

create table request (
    principal   text        not null,
    operation   text        not null,
    key         text        not null,
    id          uuid        not null constraint request_id unique,
    content     jsonb       not null,
    status      smallint    not null,
    -- As it was sent, byte for byte.
    answer      text        not null,
    accepted_at timestamptz not null,
    constraint request_key primary key (principal, operation, key)
);

grant select, insert on request to lunaria_app;
