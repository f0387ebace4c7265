# A name server on the loopback to which every name is 127.0.0.1. Prints its port, and ends
# with whoever reads that.
import select
import socket
import struct

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)

poll = select.poll()
poll.register(server, select.POLLIN)
poll.register(1, 0)  # the reader has gone
while True:
    ready = dict(poll.poll())
    if 1 in ready:
        break
    query, asker = server.recvfrom(512)
    end = query.index(b"\0", 12) + 5
    kind = struct.unpack(">H", query[end - 4:end - 2])[0]
    answers = 1 if kind == 1 else 0
    answer = query[:2] + struct.pack(">HHHHH", 0x8180, 1, answers, 0, 0) + query[12:end]
    if answers:
        answer += struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + bytes([127, 0, 0, 1])
    server.sendto(answer, asker)
