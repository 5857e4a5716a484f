// What an app behind sessiongate does with the session that it is sent. Java 17 or newer, nothing but the JDK.
// The rules are in docs/header-contract.md. This one knows HS256.
import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.*;
import java.util.regex.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public final class Verify {
  static final long SKEW_SECONDS = 30;

  /** The claims as JSON text, for the JSON library of your choice, and the plain headers that they vouch for. */
  public record Session(String claims, boolean isLoggedIn, Map<String, String> headers) {}

  public record Line(String name, String value) {}

  /** The claims stand in a fixed order without spaces, and what is signed is the gateway's own text. */
  private static final Pattern CLAIMS = Pattern.compile(
      "\\{\"iss\":\"(?<iss>[^\"\\\\]*)\",\"aud\":\"(?<aud>[^\"\\\\]*)\",\"iat\":(?<iat>\\d{1,15}),\"exp\":(?<exp>\\d{1,15})"
          + ",\"auth\":(?<auth>true|false)(?:,\"sid\":\"[^\"]*\")?(?:,\"hdr\":\"(?<hdr>[^\"]*)\",\"hdn\":\\[(?<hdn>[^]]*)])?,\".*}",
      Pattern.DOTALL);

  /** headers: every line, so that one that came twice is seen twice. keys: kid to key. now: seconds since 1970. */
  public static Session verify(List<Line> headers, Map<String, byte[]> keys, String issuer, String audience, long now)
      throws GeneralSecurityException {
    String[] parts = one(headers, "x-session-assertion").split("\\.", -1);
    byte[] key = null;
    for (var entry : keys.entrySet()) {
      String head = "{\"alg\":\"HS256\",\"kid\":\"" + entry.getKey() + "\",\"typ\":\"sessiongate+jwt\"}";
      if (parts[0].equals(encode(head.getBytes(UTF_8)))) key = entry.getValue();
    }
    if (key == null || parts.length != 3) throw refused("unsigned, or signed by an unknown key or algorithm");
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    String wanted = encode(mac.doFinal((parts[0] + "." + parts[1]).getBytes(UTF_8)));
    if (!MessageDigest.isEqual(wanted.getBytes(UTF_8), parts[2].getBytes(UTF_8))) throw refused("the signature is wrong");
    Matcher claims = CLAIMS.matcher(new String(Base64.getUrlDecoder().decode(parts[1]), UTF_8));
    if (!claims.matches()) throw refused("the claims are not a session's");
    if (!issuer.equals(claims.group("iss")) || !audience.equals(claims.group("aud"))) throw refused("it is for somebody else");
    boolean isEarly = Long.parseLong(claims.group("iat")) > now + SKEW_SECONDS;
    if (isEarly || now >= Long.parseLong(claims.group("exp")) + SKEW_SECONDS) throw refused("it is not valid now");
    Map<String, String> plain = new LinkedHashMap<>();
    StringBuilder lines = new StringBuilder();
    for (String quoted : claims.group("hdn") == null ? new String[0] : claims.group("hdn").split(",")) {
      String name = quoted.substring(1, quoted.length() - 1);
      plain.put(name, one(headers, name));
      lines.append(name).append(':').append(plain.get(name)).append('\n');
    }
    String digest = encode(MessageDigest.getInstance("SHA-256").digest(lines.toString().getBytes(UTF_8)));
    if (!plain.isEmpty() && !digest.equals(claims.group("hdr"))) throw refused("a plain header was changed");
    return new Session(claims.group(), claims.group("auth").equals("true"), plain);
  }

  private static String one(List<Line> headers, String name) throws GeneralSecurityException {
    var values = headers.stream().filter(line -> line.name().equalsIgnoreCase(name)).map(Line::value).toList();
    if (values.size() != 1) throw refused(name + " is there " + values.size() + " times");
    return values.get(0);
  }

  private static String encode(byte[] data) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(data);
  }

  private static GeneralSecurityException refused(String why) {
    return new GeneralSecurityException(why);
  }

  // By hand: java Verify.java KID KEY ISSUER AUDIENCE [NOW] < heads, KEY as `sessiongate keys derive` prints it.
  // Heads are lines "Name: value", one head from the next by an empty line.
  public static void main(String[] args) throws Exception {
    var keys = Map.of(args[0], Base64.getUrlDecoder().decode(args[1]));
    long now = args.length > 4 ? Long.parseLong(args[4]) : System.currentTimeMillis() / 1000;
    for (String head : new String(System.in.readAllBytes(), UTF_8).strip().split("\n\n")) {
      var lines = head.lines().map(line -> line.split(":", 2)).map(pair -> new Line(pair[0], pair[1].strip())).toList();
      try {
        System.out.println("ok " + verify(lines, keys, args[2], args[3], now).claims());
      } catch (GeneralSecurityException why) {
        System.out.println("refused: " + why.getMessage());
      }
    }
  }
}
