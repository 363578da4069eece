package simulate

// A language is who calls in it and what is said then. Names, lines and answers are
// made up; they are there so that every script goes through the whole pipeline.
type language struct {
	code   string
	share  int
	names  []string
	agent  []string // the agent's lines
	caller []string
	note   string // an answer in the wrap-up
}

var languages = []language{
	{"en", 40, []string{"Dana Whitfield", "Samir Rahman", "Priya Iyer", "Oluwaseun Adeyemi", "Grace O'Connor"},
		[]string{"Good morning, how can I help?", "Let me have a look at that for you.", "I have your order in front of me.", "That is done now. Is there anything else?", "Thank you for calling, goodbye."},
		[]string{"Hello, I would like to change my order.", "It should have arrived on Tuesday.", "Yes, that is the right address.", "That's great, thank you!", "Goodbye."}, "Changed the address"},
	{"fr", 8, []string{"Chloé Lefèvre", "Anaïs Garçon", "Jérôme Béranger"},
		[]string{"Bonjour, que puis-je faire pour vous ?", "Un instant, s'il vous plaît, je vérifie.", "C'est réglé : vous recevrez un courriel."},
		[]string{"Je n'ai pas reçu ma facture.", "Oui, l'adresse est déjà la bonne.", "Très bien, merci beaucoup !"}, "Facture renvoyée"},
	{"pl", 5, []string{"Tomasz Żółkiewski", "Małgorzata Ćwiklińska"},
		[]string{"Dzień dobry, w czym mogę pomóc?", "Już sprawdzam, chwileczkę."}, []string{"Chciałbym zmienić termin wizyty.", "Świetnie, dziękuję."}, "Zmiana terminu"},
	{"pt", 5, []string{"Inês Conceição", "João Magalhães"},
		[]string{"Bom dia, em que posso ajudar?", "Não se preocupe, já está resolvido."}, []string{"A ligação não está a funcionar.", "Está ótimo, obrigado!"}, "Ligação reposta"},
	{"vi", 3, []string{"Nguyễn Thị Hương"},
		[]string{"Xin chào, tôi có thể giúp gì cho bạn?", "Vâng, tôi đã cập nhật rồi ạ."}, []string{"Tôi muốn đổi số điện thoại.", "Cảm ơn nhiều nhé."}, "Đã đổi số"},
	{"ru", 8, []string{"Анна Соколова", "Дмитрий Щербаков"},
		[]string{"Здравствуйте, чем могу помочь?", "Одну минуту, я проверю ваш заказ.", "Готово, письмо уже отправлено."},
		[]string{"Добрый день, где мой заказ?", "Да, номер верный.", "Спасибо, до свидания."}, "Письмо отправлено"},
	{"ar", 8, []string{"محمد الهاشمي", "ليلى حدّاد"},
		[]string{"صباح الخير، كيف يمكنني مساعدتك؟", "لحظة من فضلك، سأتحقق من الطلب.", "تم التعديل، هل من شيء آخر؟"},
		[]string{"أريد تغيير موعد التسليم.", "نعم، العنوان صحيح.", "شكراً جزيلاً، مع السلامة."}, "تم تغيير الموعد"},
	{"ja", 8, []string{"佐藤 愛子", "髙橋 健"},
		[]string{"お電話ありがとうございます。ご用件をお伺いします。", "少々お待ちくださいませ。", "手続きが完了いたしました。"},
		[]string{"注文の内容を変更したいのですが。", "はい、住所はそのままで結構です。", "助かりました。ありがとうございます。"}, "注文変更済み"},
	{"hi", 8, []string{"प्रिया अय्यर", "राहुल श्रीवास्तव"},
		[]string{"नमस्ते, मैं आपकी क्या सहायता कर सकता हूँ?", "कृपया एक क्षण प्रतीक्षा करें।", "आपका काम हो गया है।"},
		[]string{"मुझे अपना बिल समझना है।", "हाँ, पता सही है।", "बहुत-बहुत धन्यवाद।"}, "बिल समझाया गया"},
	{"emoji", 7, []string{"Mika 🦊 Virtanen", "Zoë Müller-Łukasik"},
		[]string{"Hi 👋 how can I help?", "Sending you the link now 📎", "All done ✅ have a lovely day ☀️"},
		[]string{"My parcel 📦 is lost 😢", "Yes 👍🏽 that's me", "You're the best 🧑‍🚀🇫🇮 thanks!"}, "Parcel found 📦✅"},
}

// language draws one, most often English.
func (g *Generator) language() *language {
	sum := 0
	for _, l := range languages {
		sum += l.share
	}
	at := g.rand.IntN(sum)
	for i := range languages {
		if at -= languages[i].share; at < 0 {
			return &languages[i]
		}
	}
	return &languages[0]
}
