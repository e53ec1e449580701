-- Whose an account number is: an index over the events themselves, so that no account is known too late, and no number is given twice.
-- An account that would get a number once more is a conflict, and opens under another.

create unique index event_account_number on event ((data->>'iban')) where type = 'Opened';
