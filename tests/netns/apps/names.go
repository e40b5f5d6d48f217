// A dual-stack Go listener: answers each connection with one JSON line {peer, local}. Usage: names PORT
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			p, l := c.RemoteAddr().(*net.TCPAddr), c.LocalAddr().(*net.TCPAddr)
			fmt.Fprintf(c, `{"peer":["%s",%d],"local":["%s",%d]}`+"\n", p.IP, p.Port, l.IP, l.Port)
			c.Close()
		}()
	}
}
