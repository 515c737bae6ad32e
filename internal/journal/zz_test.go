package journal
import (
 _ "github.com/fsouza/fake-gcs-server/fakestorage"
 _ "github.com/johannesboyne/gofakes3"
 _ "github.com/johannesboyne/gofakes3/backend/s3mem"
)
