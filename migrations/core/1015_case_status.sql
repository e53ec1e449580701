-- Who looks after a case, and how a person has ended it. Of what has happened so far, the rows that there are say it already.

alter table case_view
    add column status        text not null default 'open',
    add column assigned_to   text,
    add column resolution    text,
    add column correction_id uuid;
update case_view set status = 'withdrawn' where not is_open;
create index case_view_assigned on case_view (assigned_to, raised_at desc, id desc) where is_open;
