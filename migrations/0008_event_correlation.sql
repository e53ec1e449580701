-- What followed from one request: its events, across streams, are found by what they have in common. Most of the ids are of the time of
-- the request (UUIDv7), so that the index grows at its end. Appends wait while it is built: where there are many events already, some minutes.
-- Not concurrently: that waits for whoever waits for the migrator's own lock.
create index event_correlation on event (correlation_id);
