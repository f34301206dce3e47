package sqs

import (
	"crypto/md5" //nolint:gosec // the algorithm that SQS prescribes, against accidents only
	"encoding/binary"
	"encoding/hex"
)

// checksum is the MD5OfMessageAttributes of a message that carries body as its one attribute: the length and text
// of name and type, the transport type 2 for binary, the length and bytes of the value; lengths in 4
// bytes, big-endian (Amazon SQS Developer Guide, "Calculating the MD5 message digest for message attributes").
// The SDK itself verifies message bodies only.
func checksum(body []byte) string {
	const binaryValue = 2
	header := make([]byte, 0, 32)
	header = binary.BigEndian.AppendUint32(header, uint32(len(attribute)))
	header = append(header, attribute...)
	header = binary.BigEndian.AppendUint32(header, uint32(len(dataType)))
	header = append(header, dataType...)
	header = append(header, binaryValue)
	header = binary.BigEndian.AppendUint32(header, uint32(len(body)))
	h := md5.New() //nolint:gosec // see above
	_, _ = h.Write(header)
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}
