-- Whose an account number is: an index over the events themselves, so that no account is known too late. Appends wait while it is built: some
-- seconds for each ten million events.

create index event_account_number on event ((data->>'iban')) where type = 'Opened' and stream like 'account-%';
