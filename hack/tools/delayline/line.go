package main

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Network is the distance between a client and a server.
//
// Rates are bytes per second of one connection, 0 for no limit. Handshakes of TCP are charged as one round trip before
// a connection's first bytes; those of TLS cost what they really cost. Not modelled: slow start, loss, name look-ups.
type Network struct {
	RoundTripMS  float64 `json:"round_trip_ms"`
	DownloadRate float64 `json:"download_rate"`
	UploadRate   float64 `json:"upload_rate"`
}

func (network Network) roundTrip() time.Duration {
	return time.Duration(network.RoundTripMS * float64(time.Millisecond))
}

func (network Network) isDistant() bool {
	return network != Network{}
}

const (
	pieceBytes = 64 * 1024
	// What one direction of a connection may have under way: the receive window Linux grows to by default.
	windowBytes = 6 * 1024 * 1024
)

var pieces = sync.Pool{New: func() any { return make([]byte, 0, pieceBytes) }}

// A piece is some bytes and when they arrive.
type piece struct {
	data []byte
	born time.Time
	due  time.Time
}

// A lane is one direction of a connection: bytes go in, and come out later, in order.
type lane struct {
	delay  time.Duration
	rate   float64
	window int

	mutex    sync.Mutex
	changed  *sync.Cond
	waiting  []piece
	bytes    int
	free     time.Time // when the last byte so far has left the sender
	deadline time.Time
	end      error // what the reader gets after the last byte
	broken   error // what the writer gets from now on
}

func newLane(delay, roundTrip time.Duration, rate float64, setup time.Duration) *lane {
	window := windowBytes
	if rate > 0 {
		window = min(window, int(rate*roundTrip.Seconds())+512*1024)
	}
	made := &lane{delay: delay, rate: rate, window: window, free: time.Now().Add(setup)}
	made.changed = sync.NewCond(&made.mutex)
	return made
}

// write puts bytes on the way, and waits while too many are.
func (l *lane) write(data []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	written := 0
	for written < len(data) {
		for l.bytes >= l.window && l.broken == nil {
			l.changed.Wait()
		}
		if l.broken != nil {
			return written, l.broken
		}
		written += l.put(data[written:])
		l.changed.Broadcast()
	}
	return written, nil
}

// put takes up to a piece; a fresh piece that is not full is filled first, or many small writes would be many timers.
func (l *lane) put(data []byte) int {
	now := time.Now()
	last := len(l.waiting) - 1
	if last < 0 || len(l.waiting[last].data) == pieceBytes || now.Sub(l.waiting[last].born) > time.Millisecond {
		l.waiting = append(l.waiting, piece{data: pieces.Get().([]byte)[:0], born: now})
		last++
	}
	into := &l.waiting[last]
	count := min(len(data), pieceBytes-len(into.data))
	into.data = append(into.data, data[:count]...)
	if l.free.Before(now) {
		l.free = now
	}
	if l.rate > 0 {
		l.free = l.free.Add(time.Duration(float64(count) / l.rate * float64(time.Second)))
	}
	into.due = l.free.Add(l.delay)
	l.bytes += count
	return count
}

// take waits for the next piece and removes it.
func (l *lane) take() ([]byte, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for {
		now := time.Now()
		switch {
		case !l.deadline.IsZero() && !now.Before(l.deadline):
			return nil, os.ErrDeadlineExceeded
		case len(l.waiting) > 0 && !now.Before(l.waiting[0].due):
			data := l.waiting[0].data
			l.waiting = l.waiting[1:]
			l.bytes -= len(data)
			l.changed.Broadcast()
			return data, nil
		case len(l.waiting) > 0:
			l.sleepUntil(l.waiting[0].due, now)
		case l.end != nil:
			return nil, l.end
		default:
			l.sleepUntil(time.Time{}, now)
		}
	}
}

// sleepUntil waits for a change, a moment (if any) or the deadline (if any).
func (l *lane) sleepUntil(moment, now time.Time) {
	if moment.IsZero() || (!l.deadline.IsZero() && l.deadline.Before(moment)) {
		moment = l.deadline
	}
	if !moment.IsZero() {
		timer := time.AfterFunc(moment.Sub(now), func() {
			l.mutex.Lock()
			defer l.mutex.Unlock()
			l.changed.Broadcast()
		})
		defer timer.Stop()
	}
	l.changed.Wait()
}

// finish lets the reader have what is under way, and then the error.
func (l *lane) finish(end error) {
	l.set(func() { l.end = end; l.broken = net.ErrClosed })
}

// abandon tells the writer that nobody reads any more.
func (l *lane) abandon(err error) {
	l.set(func() { l.broken = err; l.waiting = nil; l.bytes = 0; l.end = err })
}

func (l *lane) set(change func()) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	change()
	l.changed.Broadcast()
}

// A distantConn is a server's connection to a client that is some way off.
type distantConn struct {
	net.Conn
	up, down *lane
	rest     []byte // of the piece that is being read
	piece    []byte
	closing  sync.Once
}

func newDistantConn(conn net.Conn, network Network) net.Conn {
	half := network.roundTrip() / 2
	distant := &distantConn{
		Conn: conn,
		up:   newLane(half, network.roundTrip(), network.UploadRate, network.roundTrip()),
		down: newLane(half, network.roundTrip(), network.DownloadRate, 0),
	}
	go distant.carryUp()
	go distant.carryDown()
	return distant
}

func (c *distantConn) carryUp() {
	buffer := make([]byte, pieceBytes)
	for {
		count, err := c.Conn.Read(buffer)
		if count > 0 {
			if _, broken := c.up.write(buffer[:count]); broken != nil {
				return
			}
		}
		if err != nil {
			c.up.finish(err)
			return
		}
	}
}

func (c *distantConn) carryDown() {
	defer c.Conn.Close()
	for {
		data, err := c.down.take()
		if err != nil {
			return
		}
		_, err = c.Conn.Write(data)
		pieces.Put(data[:0])
		if err != nil {
			c.down.abandon(err)
			return
		}
	}
}

func (c *distantConn) Read(into []byte) (int, error) {
	if len(c.rest) == 0 {
		data, err := c.up.take()
		if err != nil {
			return 0, err
		}
		if c.piece != nil {
			pieces.Put(c.piece[:0])
		}
		c.piece, c.rest = data, data
	}
	count := copy(into, c.rest)
	c.rest = c.rest[count:]
	return count, nil
}

func (c *distantConn) Write(data []byte) (int, error) {
	return c.down.write(data)
}

// Close lets what was written arrive first, as the kernel does.
func (c *distantConn) Close() error {
	c.closing.Do(func() {
		c.down.finish(io.EOF)
		c.up.abandon(net.ErrClosed)
	})
	return nil
}

// The HTTP server ends its idle reads by a deadline in the past; deadlines of writes are not used with this server.

func (c *distantConn) SetDeadline(at time.Time) error {
	return c.SetReadDeadline(at)
}

func (c *distantConn) SetReadDeadline(at time.Time) error {
	c.up.set(func() { c.up.deadline = at })
	return nil
}

func (c *distantConn) SetWriteDeadline(time.Time) error {
	return nil
}
