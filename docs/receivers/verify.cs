// A receiver of webhooks in C# (ASP.NET Core 8 or newer), without packages. Run it with
//
//   dotnet new web -o receiver && cp verify.cs receiver/Program.cs && cd receiver
//   WEBHOOK_SECRET=whsec_… ASPNETCORE_URLS=http://127.0.0.1:3000 dotnet run
//
// ABP_SECRET=whs_… in the place of WEBHOOK_SECRET verifies the payload format abp.
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

var secret = Environment.GetEnvironmentVariable("WEBHOOK_SECRET");
var abpSecret = Environment.GetEnvironmentVariable("ABP_SECRET");
var app = WebApplication.CreateBuilder(args).Build();

app.MapPost("/webhook", async (HttpRequest request) =>
{
    // The signature is over the bytes as they came: read them before anything
    // parses them.
    using var memory = new MemoryStream();
    await request.Body.CopyToAsync(memory);
    var body = memory.ToArray();
    var id = request.Headers["webhook-id"].ToString();
    var verified = secret is not null
        ? Verify(secret, id, request.Headers["webhook-timestamp"].ToString(), request.Headers["webhook-signature"].ToString(), body)
        : abpSecret is not null && VerifyAbp(abpSecret, request.Headers["abp-webhook-signature"].ToString(), body);
    if (!verified)
        return Results.StatusCode(401);
    // Keep it, then answer, then work on it.
    Keep(id, request.Headers["aftercall-event-type"].ToString(), body);
    return Results.NoContent();
});
app.Run();

// Standard Webhooks: HMAC-SHA256 over id.timestamp.body, keyed with the bytes
// behind whsec_; one of the signatures has to match.
static bool Verify(string secret, string id, string timestamp, string signatures, byte[] body)
{
    if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) ||
        Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - seconds) > 300)
        return false;
    var head = Encoding.UTF8.GetBytes($"{id}.{timestamp}.");
    var key = Convert.FromBase64String(secret["whsec_".Length..]);
    var expected = "v1," + Convert.ToBase64String(HMACSHA256.HashData(key, head.Concat(body).ToArray()));
    return signatures.Split(' ').Any(signature => Same(signature, expected));
}

// ASP.NET Boilerplate: HMAC-SHA256 over the body, keyed with the whole secret,
// whs_ included, written by BitConverter.
static bool VerifyAbp(string secret, string signature, byte[] body) =>
    Same(signature, "sha256=" + BitConverter.ToString(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), body)));

static bool Same(string a, string b) =>
    CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(a), Encoding.UTF8.GetBytes(b));

// Stores a webhook under its id: one that comes twice changes nothing. In SQL:
// insert into Webhooks (Id, Type, Body) … where not exists (…).
static void Keep(string id, string eventType, byte[] body) =>
    Console.WriteLine($"{eventType} {id}, {body.Length} bytes");
