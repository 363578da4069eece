// A receiver of webhooks in C#, without packages. Run it with .NET 6 or newer,
//
//   dotnet new console -o receiver && cp verify.cs receiver/Program.cs && cd receiver
//   WEBHOOK_SECRET=whsec_… LISTEN=127.0.0.1:3000 dotnet run
//
// or with Mono: mcs verify.cs && WEBHOOK_SECRET=whsec_… LISTEN=127.0.0.1:3000 mono verify.exe
//
// ABP_SECRET=whs_… in the place of WEBHOOK_SECRET verifies the payload format abp.
// In ASP.NET Core the two functions are the same: copy request.Body into a byte
// array before anything binds it to a model, and call them with that.
using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Threading;

static class Webhook
{
    // Standard Webhooks: HMAC-SHA256 over id.timestamp.body, keyed with the bytes
    // behind whsec_; one of the signatures has to match.
    public static bool Verify(string secret, string id, string timestamp, string signatures, byte[] body)
    {
        long seconds;
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out seconds) ||
            Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - seconds) > 300)
            return false;
        var head = Encoding.UTF8.GetBytes(id + "." + timestamp + ".");
        using (var hmac = new HMACSHA256(Convert.FromBase64String(secret.Substring("whsec_".Length))))
        {
            var expected = "v1," + Convert.ToBase64String(hmac.ComputeHash(head.Concat(body).ToArray()));
            return signatures.Split(' ').Any(signature => Same(signature, expected));
        }
    }

    // ASP.NET Boilerplate: HMAC-SHA256 over the body, keyed with the whole secret,
    // whs_ included, written by BitConverter.
    public static bool VerifyAbp(string secret, string signature, byte[] body)
    {
        using (var hmac = new HMACSHA256(Encoding.UTF8.GetBytes(secret)))
            return Same(signature, "sha256=" + BitConverter.ToString(hmac.ComputeHash(body)));
    }

    static bool Same(string a, string b)
    {
        return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(a), Encoding.UTF8.GetBytes(b));
    }
}

static class Receiver
{
    static readonly string Secret = Environment.GetEnvironmentVariable("WEBHOOK_SECRET");
    static readonly string AbpSecret = Environment.GetEnvironmentVariable("ABP_SECRET");

    static void Main()
    {
        var listener = new HttpListener();
        listener.Prefixes.Add("http://" + Environment.GetEnvironmentVariable("LISTEN") + "/");
        listener.Start();
        while (true)
        {
            var context = listener.GetContext();
            ThreadPool.QueueUserWorkItem(_ => Answer(context));
        }
    }

    static void Answer(HttpListenerContext context)
    {
        // The signature is over the bytes as they came: read them before anything
        // parses them.
        var memory = new MemoryStream();
        context.Request.InputStream.CopyTo(memory);
        var body = memory.ToArray();
        Func<string, string> header = name => context.Request.Headers[name] ?? "";
        var verified = Secret != null
            ? Webhook.Verify(Secret, header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), body)
            : AbpSecret != null && Webhook.VerifyAbp(AbpSecret, header("abp-webhook-signature"), body);
        // Keep it, then answer, then work on it.
        if (verified)
            Keep(header("webhook-id"), header("aftercall-event-type"), body);
        context.Response.StatusCode = verified ? 204 : 401;
        context.Response.Close();
    }

    // Stores a webhook under its id: one that comes twice changes nothing. In SQL:
    // insert into Webhooks (Id, Type, Body) … where not exists (…).
    static void Keep(string id, string eventType, byte[] body)
    {
        Console.WriteLine(eventType + " " + id + ", " + body.Length + " bytes");
    }
}
