//! What another service in the same process may read.

use delivery::{ExternalStreams, History};
use event::{Seq, StreamName};

use crate::stage::Stage;

#[tokio::test]
async fn another_service_reads_external_streams_and_nothing_else() {
    let stage = Stage::create().await;
    for stream in ["note-1", "note.v1-1", "note.v1-2", "note.v-1"] {
        stage.append(stream, 3).await;
    }
    let (own, external) = (stage.store.clone(), ExternalStreams(stage.store.clone()));
    let name = |text: &str| text.parse::<StreamName>().unwrap();
    for internal in ["note-1", "note.v-1"] {
        let stream = name(internal);
        assert_eq!(History::events(&own, &stream, Seq::ZERO, 10).await.unwrap().len(), 3);
        let error = external.events(&stream, Seq::ZERO, 10).await.unwrap_err();
        assert!(error.to_string().contains("services meet only in external streams"), "{error}");
        assert!(external.streams(stream.category(), None, 10).await.is_err());
    }
    let seqs: Vec<i64> = (external.events(&name("note.v1-1"), Seq::FIRST, 10).await.unwrap().iter())
        .map(|event| event.seq.get())
        .collect();
    assert_eq!(seqs, [2, 3]);
    let after = name("note.v1-1");
    let page = external.streams("note.v1", Some(&after), 10).await.unwrap();
    assert_eq!(page.iter().map(|at| at.stream.as_str()).collect::<Vec<_>>(), ["note.v1-2"]);
    stage.drop().await;
}
