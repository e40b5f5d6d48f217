// A Java listener (dual stack by default): answers each connection with one JSON line {peer, local}. Usage: java Names.java PORT
import java.net.*;

public class Names {
    public static void main(String[] args) throws Exception {
        try (ServerSocket server = new ServerSocket(Integer.parseInt(args[0]), 128)) {
            while (true) {
                Socket c = server.accept();
                try (c) {
                    InetSocketAddress p = (InetSocketAddress) c.getRemoteSocketAddress(), l = (InetSocketAddress) c.getLocalSocketAddress();
                    String line = String.format("{\"peer\":[\"%s\",%d],\"local\":[\"%s\",%d]}\n", p.getAddress().getHostAddress(), p.getPort(),
                            l.getAddress().getHostAddress(), l.getPort());
                    c.getOutputStream().write(line.getBytes());
                } catch (Exception e) {
                }
            }
        }
    }
}
