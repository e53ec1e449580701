-- What failures of one kind have in common, so that a person sees them, and has them tried again, as one. Of those that are parked by now the
-- reason says it word for word.

alter table parked add column cause text not null default '';
update parked set cause = left(reason, 500);
alter table parked alter column cause drop default;
create index parked_cause on parked (handler, source, cause);
