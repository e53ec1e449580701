-- What failures of one kind have in common, so that a person sees them, and has them tried again, as one. Of those that are parked by now the
-- reason says it word for word; a program of the version before, beside which this runs for a while, says nothing.

alter table parked add column cause text not null default '';
update parked set cause = left(reason, 500);
create index parked_cause on parked (handler, source, cause);
