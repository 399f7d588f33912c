// A server as most of what runs in a cluster is written: net/http, whose listener has been an MPTCP socket since
// Go 1.24 wherever the kernel has these. It keeps a connection to each of its peers.
//
//	talk PORT HOST:PORT...
package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// Anyone who is asked so answers something: a server of HTTP a page, the others what they were sent.
const question = "GET / HTTP/1.1\r\nHost: peer\r\n\r\n"

func keep(peer string) {
	for ; ; time.Sleep(time.Second) {
		// A Service that was dialled before its rules stood is never reached from the same port.
		connection, err := net.DialTimeout("tcp", peer, 3*time.Second)
		if err != nil {
			log.Print(err)
			continue
		}
		for answer := make([]byte, 4096); ; time.Sleep(time.Second) {
			if _, err = io.WriteString(connection, question); err != nil {
				break
			}
			if _, err = connection.Read(answer); err != nil {
				break
			}
		}
		log.Print(peer, ": ", err)
		connection.Close()
	}
}

func main() {
	for _, peer := range os.Args[2:] {
		go keep(peer)
	}
	handler := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "well\n") }
	log.Fatal(http.ListenAndServe(":"+os.Args[1], http.HandlerFunc(handler)))
}
