-- Under which names API keys were issued: an index over the events themselves, so that no name is known too late. Appends wait while it is built: some
-- seconds for each ten million events.

create index event_key_name on event ((data->>'name')) where type = 'KeyIssued' and stream like 'key-%';
