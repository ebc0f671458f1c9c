//! Small messages to databases that leave at once.
//!
//! sqlx leaves Nagle's algorithm on and hands out no socket: the second of two messages without an answer in between, such as the end of a
//! `COPY` behind its rows, then waits 40 ms for the other end to acknowledge the first.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::RawFd;

/// Turns Nagle's algorithm off on every connection of this process to a port. One that is somebody else's is none the worse for it.
pub(super) fn send_at_once(port: u16) {
    // Where there is no such folder, connections are slow as they were.
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let sockets = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    for socket in sockets.filter(|socket| port_of_peer(*socket) == Some(port)) {
        let on: libc::c_int = 1;
        // SAFETY: the call reads a number that lives on; it answers with an error where the descriptor was closed meanwhile.
        unsafe {
            libc::setsockopt(
                socket,
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                std::ptr::from_ref(&on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}

/// The port of the other end of a TCP connection.
fn port_of_peer(socket: RawFd) -> Option<u16> {
    let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the address has the length that is said, zeroes are a valid one, and what is no socket is answered with an error.
    let address = unsafe {
        if libc::getpeername(socket, address.as_mut_ptr().cast(), &raw mut length) != 0 {
            return None;
        }
        address.assume_init()
    };
    let place = std::ptr::from_ref(&address);
    // SAFETY: storage is large enough and aligned for an address of any family, and its family says which it is.
    unsafe {
        match libc::c_int::from(address.ss_family) {
            libc::AF_INET => Some(u16::from_be((*place.cast::<libc::sockaddr_in>()).sin_port)),
            libc::AF_INET6 => Some(u16::from_be((*place.cast::<libc::sockaddr_in6>()).sin6_port)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_to_the_port_and_no_others_send_at_once() {
        let listeners = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [asked, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let streams = [asked, other].map(|address| TcpStream::connect(address).unwrap());
        send_at_once(asked.port());
        assert_eq!(streams.each_ref().map(|stream| stream.nodelay().unwrap()), [true, false]);
    }
}
