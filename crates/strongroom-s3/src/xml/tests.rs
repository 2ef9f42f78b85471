//! XML bodies read within bounds, and answers written.

use super::*;
use proptest::prelude::*;

fn delete(inner: &str) -> Result<DeleteRequest, S3Error> {
    DeleteRequest::parse(format!("<Delete>{inner}</Delete>").as_bytes())
}

fn object(key: &str) -> DeleteObject {
    DeleteObject {
        key: key.into(),
        version_id: None,
        etag: None,
    }
}

#[test]
fn delete_requests_are_read() {
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n  <Quiet>true</Quiet>\n  \
        <Object><Key>a&amp;b/&#x20;&lt;c&gt;\u{fc}</Key></Object><!-- more -->\n  \
        <Object><Key><![CDATA[<raw> ]]></Key><VersionId>null</VersionId>\
        <ETag>\"e\"</ETag></Object>\n</Delete>\n";
    let request = DeleteRequest::parse(xml.as_bytes()).unwrap();
    let second = DeleteObject {
        key: "<raw> ".into(),
        version_id: Some("null".into()),
        etag: Some("e".into()),
    };
    assert!(request.quiet);
    assert_eq!(request.objects, [object("a&b/ <c>\u{fc}"), second]);
    let prefixed = "<s:Delete xmlns:s=\"x\"><s:Object><s:Key>k</s:Key></s:Object></s:Delete>";
    let request = DeleteRequest::parse(prefixed.as_bytes()).unwrap();
    assert_eq!((request.quiet, request.objects), (false, vec![object("k")]));
}

#[test]
fn blanks_and_line_ends_of_keys_are_kept() {
    let request = delete("<Object><Key> a \t b </Key></Object><Object><Key>&#13;</Key></Object>");
    assert_eq!(request.unwrap().objects, [object(" a \t b "), object("\r")]);
}

#[test]
fn what_is_no_delete_request_is_malformed() {
    let many = "<Object><Key>k</Key></Object>".repeat(1001);
    for inner in [
        "",
        "<Object></Object>",
        "<Object><Key></Key></Object>",
        "<Object><Key>a</Key><Key>b</Key></Object>",
        "<Object><Key><b/></Key></Object>",
        "<Object><Key>a</Key>text</Object>",
        "<Object><Key>a</Key></Object><Quiet>maybe</Quiet>",
        "<Object><Key>a</Key></Object><Else/>",
        "<Object><Key>&nbsp;</Key></Object>",
        "<Object><Key>&#0;</Key></Object>",
        "<Object><Key>&#xD800;</Key></Object>",
        "<Object><Key>\u{1}</Key></Object>",
        "<Object><Key>&#1;</Key></Object>",
        "<Object><Key><![CDATA[\u{ffff}]]></Key></Object>",
        "<Object><Key>a</Object></Key>",
        many.as_str(),
    ] {
        assert_eq!(delete(inner).unwrap_err().code(), "MalformedXML", "{inner}");
    }
    let most = "<Object><Key>k</Key></Object>".repeat(1000);
    assert_eq!(delete(&most).unwrap().objects.len(), 1000);
}

#[test]
fn documents_beyond_the_bounds_are_malformed() {
    let deep = format!("{}{}", "<Delete>".repeat(9), "</Delete>".repeat(9));
    let entity = "<!DOCTYPE d [<!ENTITY a \"b\">]><Delete><Object><Key>&a;</Key></Object></Delete>";
    let bare = "<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>";
    let latin = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\
        <Delete><Object><Key>a</Key></Object></Delete>";
    let two = "<Delete><Object><Key>a</Key></Object></Delete><Delete/>";
    let large = format!("<Delete>{}", " ".repeat(DELETE_BYTES_MAX));
    let wide = format!("<Delete>{}</Delete>", "<a/>".repeat(70_000));
    for xml in [
        deep.as_str(),
        entity,
        bare,
        latin,
        two,
        &large,
        &wide,
        "",
        "text",
        "<Delete>",
        "</Delete>",
        "<Delete/>after",
        "<Other/>",
    ] {
        let error = DeleteRequest::parse(xml.as_bytes()).unwrap_err();
        assert_eq!(
            error.code(),
            "MalformedXML",
            "{}",
            &xml[..xml.len().min(90)]
        );
    }
    let error = DeleteRequest::parse(b"<Delete><Object><Key>\xff</Key></Object></Delete>");
    assert_eq!(error.unwrap_err().code(), "MalformedXML");
}

#[test]
fn complete_requests_are_read() {
    let xml = "<CompleteMultipartUpload><Part><ETag>&quot;abc&quot;</ETag>\
        <PartNumber> 1 </PartNumber><ChecksumCRC32>DUoRhQ==</ChecksumCRC32></Part>\
        <Part><PartNumber>10000</PartNumber><ETag>def</ETag></Part></CompleteMultipartUpload>";
    let parts = CompleteRequest::parse(xml.as_bytes()).unwrap().parts;
    let checksum = Value::parse(Algorithm::Crc32, "DUoRhQ==").unwrap();
    let expected = [
        CompletePart {
            number: 1,
            etag: "abc".into(),
            checksums: vec![checksum],
        },
        CompletePart {
            number: 10_000,
            etag: "def".into(),
            checksums: vec![],
        },
    ];
    assert_eq!(parts, expected);
}

#[test]
fn the_largest_complete_request_fits() {
    let part = |number: u32| {
        let checksum = "A".repeat(43);
        format!(
            "<Part><ETag>\"{checksum}\"</ETag><PartNumber>{number}</PartNumber>\
             <ChecksumSHA256>{checksum}=</ChecksumSHA256></Part>"
        )
    };
    let parts: String = (1..=10_000).map(part).collect();
    let xml = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let request = CompleteRequest::parse(xml.as_bytes()).unwrap();
    assert_eq!(request.parts.len(), 10_000);
}

#[test]
fn what_is_no_complete_request_has_its_code() {
    for (inner, code) in [
        ("", "MalformedXML"),
        ("<Part/>", "MalformedXML"),
        ("<Part><ETag>a</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
        (
            "<Part><PartNumber>1</PartNumber><ETag>a</ETag><X/></Part>",
            "MalformedXML",
        ),
        (
            "<Part><PartNumber>0</PartNumber><ETag>a</ETag></Part>",
            "InvalidArgument",
        ),
        (
            "<Part><PartNumber>10001</PartNumber><ETag>a</ETag></Part>",
            "InvalidArgument",
        ),
        (
            "<Part><PartNumber>+1</PartNumber><ETag>a</ETag></Part>",
            "InvalidArgument",
        ),
        (
            "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA1>x</ChecksumSHA1></Part>",
            "InvalidRequest",
        ),
    ] {
        let xml = format!("<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>");
        let error = CompleteRequest::parse(xml.as_bytes()).unwrap_err();
        assert_eq!(error.code(), code, "{inner}");
    }
}

#[test]
fn bucket_configurations_are_read() {
    let of = |inner: &str| {
        let xml = format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>");
        CreateBucket::parse(xml.as_bytes())
    };
    assert_eq!(CreateBucket::parse(b"").unwrap(), CreateBucket::default());
    assert_eq!(of("").unwrap().location, None);
    let location = of("<LocationConstraint>eu-west-1</LocationConstraint>").unwrap();
    assert_eq!(location.location.as_deref(), Some("eu-west-1"));
    assert_eq!(of("<Bucket/>").unwrap_err().code(), "NotImplemented");
    assert_eq!(of("<X/>").unwrap_err().code(), "MalformedXML");
}

proptest! {
    #[test]
    fn any_key_that_is_written_is_read_back(key in "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{1,40}") {
        let mut xml = Writer::new();
        xml.root("Delete");
        xml.open("Object");
        xml.element("Key", &key);
        xml.close("Object");
        xml.close("Delete");
        let request = DeleteRequest::parse(xml.finish().as_bytes()).unwrap();
        prop_assert_eq!(request.objects, [object(&key)]);
    }

    #[test]
    fn hostile_documents_never_panic(text in ".{0,80}", odd in "[<>/&;#!\\[\\]a-zA-Z \"=?-]{0,80}") {
        for text in [text.clone(), odd.clone(), format!("<Delete>{odd}</Delete>")] {
            let _ = DeleteRequest::parse(text.as_bytes());
            let _ = CompleteRequest::parse(text.as_bytes());
            let _ = CreateBucket::parse(text.as_bytes());
        }
    }
}
