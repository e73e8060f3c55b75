// A small exporter made with client_golang, as a peer to measure against: it serves gauges that it
// reads once from standard input, a family on each line of JSON, and prints its port.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type family struct {
	Name    string     `json:"name"`
	Help    string     `json:"help"`
	Labels  []string   `json:"labels"`
	Series  [][]string `json:"series"`
	Samples []float64  `json:"samples"`
}

func main() {
	registry := prometheus.NewRegistry()
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	for decoder.More() {
		var read family
		if err := decoder.Decode(&read); err != nil {
			log.Fatal(err)
		}
		options := prometheus.GaugeOpts{Name: read.Name, Help: read.Help}
		gauges := prometheus.NewGaugeVec(options, read.Labels)
		for place, labels := range read.Series {
			gauges.WithLabelValues(labels...).Set(read.Samples[place])
		}
		registry.MustRegister(gauges)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	log.Fatal(http.Serve(listener, nil))
}
